// Package handover moves listening sockets, and what a process knows, from one process to the next, so that no query is
// lost when a program is upgraded.
//
// A running process has a Door, a unix socket, on which a new one asks by TakeOver. What they say to each other, in
// this order, is
//
//	new  hello               the version of this protocol
//	old  sockets, offer      every listening socket (SCM_RIGHTS), and the state as it is
//	new  freeze              all is loaded; from here on nothing may change
//	old  state               the state as it stays
//	new  serving             it answers on the same sockets: the point of no return
//	old  done                it reads nothing any more
//
// Before "serving" each side may die, refuse or say nothing: then the old process goes on as if nobody had asked. A
// Sockets is also what systemd passes to a process that it starts (sd_listen_fds(3)).
package handover

import (
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// Protocol is the version of what the two processes say to each other. Another one is refused.
const Protocol = 1

// ErrGone says that the other process has ended, or hung up without a word.
var ErrGone = errors.New("the other gtmd has ended in the middle of the take-over")

// Refusal is why the other process does not go on with a take-over. It serves on.
type Refusal string

func (r Refusal) Error() string { return "the running gtmd refuses: " + string(r) }

// The kinds of messages, beside those that the package comment lists.
const (
	kindHello   = "hello"
	kindSockets = "sockets"
	kindOffer   = "offer"
	kindFreeze  = "freeze"
	kindState   = "state"
	kindServing = "serving"
	kindDone    = "done"
	kindRefuse  = "refuse" // in place of any message of the old process
)

// message is JSON on the wire, behind its length in four octets, which come with the descriptors.
type message struct {
	Protocol int    `json:"protocol"`
	Kind     string `json:"kind"`
	// Program is the version of the program that sends a hello or an offer.
	Program string `json:"program,omitempty"`
	// Reason is that of a refusal, for people.
	Reason  string       `json:"reason,omitempty"`
	Sockets []socketName `json:"sockets,omitempty"` // of the descriptors, in their order
	Body    []byte       `json:"body,omitempty"`    // the state
}

// maxMessage bounds a message, in octets: the state of some million addresses.
const maxMessage = 1 << 30

// maxDescriptors is how many descriptors go with one message at most; the kernel takes 253 (unix(7)).
const maxDescriptors = 128

// line is a connection between two processes. When ctx has ended, nothing more is said or waited for; whoever makes a line
// has the end of ctx set a deadline that has passed, for what is under way.
type line struct {
	conn *net.UnixConn
	ctx  context.Context
}

// regardless is the line for what is to be said, or heard, also after the end of its context.
func (l line) regardless() line { return line{l.conn, context.Background()} }

// wrong is what is wrong with the connection: that the context has ended, ErrGone for what a dead peer looks like, or err.
func (l line) wrong(err error) error {
	switch {
	case l.ctx.Err() != nil && errors.Is(err, os.ErrDeadlineExceeded):
		return l.ctx.Err()
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF), errors.Is(err, syscall.EPIPE), errors.Is(err, syscall.ECONNRESET):
		return ErrGone
	default:
		return err
	}
}

// send sends a message with descriptors, which stay open here.
func (l line) send(m message, descriptors []int, within time.Duration) error {
	m.Protocol = Protocol
	text, err := json.Marshal(m)
	if err != nil {
		return fmt.Errorf("encode %s: %w", m.Kind, err)
	}
	if len(text) > maxMessage {
		return fmt.Errorf("send %s: it has %d octets, at most %d can be sent", m.Kind, len(text), maxMessage)
	}
	l.conn.SetWriteDeadline(time.Now().Add(within))
	if l.ctx.Err() != nil { // its end has set a deadline before
		l.conn.SetWriteDeadline(time.Unix(1, 0))
	}
	var rights []byte
	if len(descriptors) > 0 {
		rights = unix.UnixRights(descriptors...)
	}
	if _, _, err := l.conn.WriteMsgUnix(binary.BigEndian.AppendUint32(nil, uint32(len(text))), rights, nil); err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, l.wrong(err))
	}
	if _, err := l.conn.Write(text); err != nil {
		return fmt.Errorf("send %s: %w", m.Kind, l.wrong(err))
	}
	return nil
}

// receive returns the next message, which has to be of one of some kinds, and its descriptors, which the caller closes.
func (l line) receive(within time.Duration, kinds ...string) (m message, descriptors []int, err error) {
	defer func() {
		if err != nil {
			closeAll(descriptors)
			descriptors = nil
		}
	}()
	l.conn.SetReadDeadline(time.Now().Add(within))
	if l.ctx.Err() != nil { // its end has set a deadline before
		l.conn.SetReadDeadline(time.Unix(1, 0))
	}
	var length [4]byte
	rights := make([]byte, unix.CmsgSpace(4*maxDescriptors))
	n, size, flags, _, err := l.conn.ReadMsgUnix(length[:], rights)
	if err == nil && n == 0 {
		err = io.EOF
	}
	if err != nil {
		return m, nil, fmt.Errorf("wait for %s: %w", kinds[0], l.wrong(err))
	}
	descriptors, err = descriptorsOf(rights[:size])
	switch {
	case err != nil:
		return m, descriptors, fmt.Errorf("receive descriptors: %w", err)
	case flags&unix.MSG_CTRUNC != 0:
		return m, descriptors, errors.New("receive descriptors: the kernel kept some back, as when a process is out of descriptors")
	}
	if _, err := io.ReadFull(l.conn, length[n:]); err != nil {
		return m, descriptors, fmt.Errorf("receive %s: %w", kinds[0], l.wrong(err))
	}
	octets := binary.BigEndian.Uint32(length[:])
	if octets > maxMessage {
		return m, descriptors, fmt.Errorf("receive %s: it is said to have %d octets, at most %d are taken", kinds[0], octets, maxMessage)
	}
	text := make([]byte, octets)
	if _, err := io.ReadFull(l.conn, text); err != nil {
		return m, descriptors, fmt.Errorf("receive %s: %w", kinds[0], l.wrong(err))
	}
	if err := json.Unmarshal(text, &m); err != nil {
		return m, descriptors, fmt.Errorf("receive %s: %w", kinds[0], err)
	}
	switch {
	case m.Kind == kindRefuse:
		return m, descriptors, Refusal(m.Reason)
	case m.Protocol != Protocol:
		return m, descriptors, fmt.Errorf("the other gtmd (%s) hands over by protocol %d, this one by %d", m.Program, m.Protocol, Protocol)
	case len(m.Sockets) != len(descriptors):
		return m, descriptors, fmt.Errorf("receive %s: it names %d sockets and has %d descriptors", m.Kind, len(m.Sockets), len(descriptors))
	}
	for _, kind := range kinds {
		if m.Kind == kind {
			return m, descriptors, nil
		}
	}
	return m, descriptors, fmt.Errorf("receive %s: got %q", kinds[0], m.Kind)
}

// descriptorsOf are those of the control part of a message.
func descriptorsOf(control []byte) (descriptors []int, err error) {
	parts, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return nil, err
	}
	for i := range parts {
		rights, err := unix.ParseUnixRights(&parts[i])
		if err != nil {
			return descriptors, err
		}
		descriptors = append(descriptors, rights...)
	}
	return descriptors, nil
}

func closeAll(descriptors []int) {
	for _, fd := range descriptors {
		unix.Close(fd)
	}
}
