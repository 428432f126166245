package handover

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"syscall"
	"time"
)

// Taking is a take-over from the side of the new process. It is used by one goroutine.
type Taking struct {
	// Sockets are those of the other process. The caller closes them.
	Sockets *Sockets
	// State is that of the other process as it was when it was asked.
	State []byte
	// Program is the version of the other program, PID its process.
	Program string
	PID     int

	line line
	stop func() bool // of the watch on the context
}

// IsDoor reports whether there is a socket at a path. Nobody may be behind it.
func IsDoor(path string) bool {
	info, err := os.Lstat(path)
	return err == nil && info.Mode()&os.ModeSocket != 0
}

// TakeOver asks the process behind the door at a path. It is nil without an error when nobody is there. The end of ctx gives
// up.
func TakeOver(ctx context.Context, path, program string) (_ *Taking, err error) {
	conn, err := net.DialTimeout("unix", path, helloTime)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.EINVAL) {
		return nil, nil // EINVAL: the path is too long for a door
	}
	if err != nil {
		return nil, fmt.Errorf("ask the running gtmd to hand over: %w", err)
	}
	t := &Taking{Sockets: NewSockets(), line: line{conn.(*net.UnixConn), ctx}}
	t.stop = context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })
	defer func() {
		if err != nil {
			t.Sockets.Close()
			t.Close()
		}
	}()
	who, err := t.line.peer()
	if err != nil {
		return nil, fmt.Errorf("look who would hand over: %w", err)
	}
	if me := os.Geteuid(); me != 0 && who.UID != 0 && int(who.UID) != me {
		return nil, fmt.Errorf("process %d of user %d answers on %s: taking over from another user is refused", who.PID, who.UID, path)
	}
	t.PID = int(who.PID)
	if err := t.line.send(message{Kind: kindHello, Program: program}, nil, helloTime); err != nil {
		return nil, err
	}
	for {
		m, descriptors, err := t.line.receive(loadTime, kindOffer, kindSockets)
		if err != nil {
			return nil, err
		}
		for i, fd := range descriptors {
			one, err := newSocket(fd)
			if err != nil {
				closeAll(descriptors[i:])
				return nil, err
			}
			one.Held = m.Sockets[i].IsHeld
			t.Sockets.add(one)
		}
		if m.Kind == kindOffer {
			t.State, t.Program = m.Body, m.Program
			return t, nil
		}
	}
}

// Freeze has the other process stand still and returns its state. ErrGone says that it has ended: what it offered is then
// all that there is.
func (t *Taking) Freeze() (state []byte, err error) {
	if err := t.line.send(message{Kind: kindFreeze}, nil, sendTime); err != nil && !errors.Is(err, ErrGone) {
		return nil, err
	}
	m, _, err := t.line.receive(loadTime, kindState)
	return m.Body, err
}

// Serving says that this process answers; from then on the end of the context does not matter any more. It returns when the other one reads
// nothing any more, because it has left, has ended, or says nothing for long. On an error that one goes on, and this one must
// not.
func (t *Taking) Serving() error {
	if !t.stop() {
		return fmt.Errorf("say that this gtmd answers: %w", t.line.ctx.Err())
	}
	l := t.line.regardless()
	if err := l.send(message{Kind: kindServing}, nil, sendTime); err != nil && !errors.Is(err, ErrGone) {
		return err // it was not said
	}
	_, _, err := l.receive(frozenTime, kindDone) // or the refusal that came before
	if errors.Is(err, ErrGone) || errors.Is(err, os.ErrDeadlineExceeded) {
		return nil
	}
	return err
}

// Close ends the conversation: before Serving, the other process goes on; after it, that one need not wait with its end.
func (t *Taking) Close() {
	t.stop()
	t.line.conn.Close()
}
