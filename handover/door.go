package handover

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Owner is the process that hands over. Its methods are called by one goroutine, in this order; Abort ends what Offer
// has begun, unless Leave was called.
type Owner interface {
	// Offer returns every listening socket, which the door closes, and the state as it is.
	Offer(context.Context) ([]Socket, []byte, error)
	// Freeze returns the state as it stays until Abort or Leave.
	Freeze(context.Context) ([]byte, error)
	// Abort goes on as if nobody had asked.
	Abort()
	// Leave stops reading from every socket; others read them now. It returns when what was read is answered.
	Leave()
}

// Door is where the next process asks for the sockets: a unix socket that only this user, and root, can open.
type Door struct {
	listener *net.UnixListener
	program  string
	log      *slog.Logger
}

// OpenDoor listens on a path. A file that a dead process, or one that has left, has left there is replaced. Program is the version of
// this program, for people.
func OpenDoor(path, program string, log *slog.Logger) (*Door, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		os.Remove(path) // ListenUnix says what is wrong when this fails
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("open the socket for a take-over: %w", err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return nil, fmt.Errorf("open the socket for a take-over: %w", err)
	}
	// Who came before this is known by its user, too.
	if err := os.Chmod(path, 0o600); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the socket for a take-over: %w", err)
	}
	return &Door{l, program, log}, nil
}

// Close closes a door that was never served.
func (d *Door) Close() { d.listener.Close() }

// The longest waits. A new process has all that can take time behind it when it says hello, but for names to be resolved and
// new addresses to be probed, which come before freeze; what comes after freeze is computing alone.
const (
	helloTime  = 5 * time.Second
	loadTime   = 2 * time.Minute
	frozenTime = 30 * time.Second
	sendTime   = 30 * time.Second
	lastLook   = 50 * time.Millisecond
	hangUpTime = 10 * time.Second
)

// Heir is the process that has taken over.
type Heir struct {
	// PID is its number; 0: it is in a PID namespace that this process does not see.
	PID  int
	conn *net.UnixConn
}

// Wait returns when the heir has no need of this process any more: it has hung up, or has said nothing for hangUpTime.
// Whoever supervises both knows by then which of them goes on.
func (h *Heir) Wait() {
	h.conn.SetReadDeadline(time.Now().Add(hangUpTime))
	h.conn.Read(make([]byte, 1))
	h.conn.Close()
}

// Serve hands over to the first process that takes all, and returns it, for Wait; or nil when ctx has ended. The path is free
// then, and else left to the other process.
func (d *Door) Serve(ctx context.Context, owner Owner) *Heir {
	defer d.listener.Close()
	defer context.AfterFunc(ctx, func() { d.listener.SetDeadline(time.Unix(1, 0)) })()
	for {
		conn, err := d.listener.AcceptUnix()
		switch {
		case ctx.Err() != nil:
			if err == nil {
				conn.Close()
			}
			return nil
		case err != nil:
			d.log.Warn("accept who wants to take over", "error", err)
			select {
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
			continue
		}
		heir, err := d.give(ctx, line{conn, ctx}, owner)
		if err == nil {
			d.listener.SetUnlinkOnClose(false)
			return heir
		}
		conn.Close()
		d.log.Error("another gtmd did not take over: serving on", "error", err)
	}
}

// give is one take-over. On an error everything is as it was, and the caller closes the connection.
func (d *Door) give(ctx context.Context, l line, owner Owner) (_ *Heir, err error) {
	defer context.AfterFunc(ctx, func() { l.conn.SetDeadline(time.Unix(1, 0)) })()
	defer func() {
		if err != nil && !errors.Is(err, ErrGone) {
			reason := err
			if ctx.Err() != nil {
				reason = errors.New("it is stopping")
			}
			l.regardless().send(message{Kind: kindRefuse, Program: d.program, Reason: reason.Error()}, nil, time.Second)
		}
	}()
	who, err := l.peer()
	if err != nil {
		return nil, fmt.Errorf("look who wants to take over: %w", err)
	}
	if !mayTake(who.UID, os.Geteuid()) {
		return nil, fmt.Errorf("process %d of user %d may not take over: only user %d and root may", who.PID, who.UID, os.Geteuid())
	}
	hello, _, err := l.receive(helloTime, kindHello)
	if err != nil {
		return nil, err
	}
	begin := time.Now()
	d.log.Info("another gtmd takes over", "pid", who.PID, "version", hello.Program)
	sockets, state, err := owner.Offer(ctx)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			owner.Abort()
		}
	}()
	sockets, err = l.sendSockets(sockets)
	if err != nil {
		return nil, err
	}
	if err := l.send(message{Kind: kindOffer, Program: d.program, Body: state}, nil, sendTime); err != nil {
		return nil, err
	}
	if _, _, err := l.receive(loadTime, kindFreeze); err != nil {
		return nil, err
	}
	frozen := time.Now()
	if state, err = owner.Freeze(ctx); err != nil {
		return nil, err
	}
	if err := l.send(message{Kind: kindState, Body: state}, nil, sendTime); err != nil {
		return nil, err
	}
	_, _, err = l.receive(frozenTime, kindServing)
	if errors.Is(err, os.ErrDeadlineExceeded) || ctx.Err() != nil {
		// This process may have been stopped meanwhile, while the other one has said it: it serves then, and waits no longer.
		_, _, err = l.regardless().receive(lastLook, kindServing)
	}
	if err != nil {
		return nil, err
	}
	owner.Leave()
	d.log.Info("handed over: another gtmd answers now", "pid", who.PID, "version", hello.Program, "sockets", len(sockets),
		"took", time.Since(begin).Round(time.Millisecond), "frozen", time.Since(frozen).Round(100*time.Microsecond))
	l.regardless().send(message{Kind: kindDone}, nil, sendTime) // the end of this process says the same
	return &Heir{PID: who.PID, conn: l.conn}, nil
}

// credentials are the process and the user at the other end of a connection.
type credentials struct {
	PID int
	UID uint32
}

// mayTake reports whether a process of a user may take the sockets of one of another.
func mayTake(taker uint32, owner int) bool { return taker == 0 || int(taker) == owner }

// sendSockets sends sockets, each once however many duplicates there are, and closes them.
func (l line) sendSockets(sockets []Socket) (sent []Socket, err error) {
	defer Close(sockets)
	seen := map[uint64]bool{}
	for _, one := range sockets {
		if !seen[one.inode] {
			seen[one.inode] = true
			sent = append(sent, one)
		}
	}
	for chunk := range slices.Chunk(sent, maxDescriptors) {
		m := message{Kind: kindSockets}
		var descriptors []int
		for _, one := range chunk {
			one.IsHeld = one.Held
			m.Sockets = append(m.Sockets, one.socketName)
			descriptors = append(descriptors, one.FD)
		}
		if err := l.send(m, descriptors, sendTime); err != nil {
			return sent, err
		}
	}
	return sent, nil
}
