package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"gtmd/handover"
)

// endpoint is one listener with its HTTP server.
type endpoint struct {
	listener net.Listener
	crowd    *crowd // of the listener
	http     *http.Server
	gate     *gate
	done     sync.WaitGroup
	held     bool // whether another process keeps the socket open for the one after this
}

// newEndpoint returns one that does not serve yet. The address is what was asked for over TCP; empty: it is the socket.
func (s *Server) newEndpoint(l net.Listener, listen string) *endpoint {
	g := s.newGate(listen)
	isSocket := listen == ""
	crowd := newCrowd(l, s.metrics.closed.WithLabelValues(listenerName(isSocket)).Inc)
	return &endpoint{listener: l, crowd: crowd, gate: g, http: newHTTP(g, s.log)}
}

func listenerName(isSocket bool) string {
	if isSocket {
		return "socket"
	}
	return "tcp"
}

func (e *endpoint) serve() { e.http.Serve(e.crowd) } // returns when closed

// close ends the streams, and gives other requests two seconds. It is called once.
func (e *endpoint) close() {
	close(e.gate.ending)
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if e.http.Shutdown(ctx) != nil {
		e.http.Close()
	}
	e.done.Wait()
}

// duplicate is a duplicate of the socket.
func (e *endpoint) duplicate() (socket handover.Socket, err error) {
	raw, err := e.listener.(syscall.Conn).SyscallConn()
	if err != nil {
		return socket, err
	}
	if controlErr := raw.Control(func(fd uintptr) { socket, err = handover.Duplicate(int(fd)) }); controlErr != nil {
		return socket, controlErr
	}
	return socket, err
}

// unlink says whether the file of a unix socket is removed at the end.
func (e *endpoint) unlink(yes bool) { e.listener.(*net.UnixListener).SetUnlinkOnClose(yes) }

// inherit returns an endpoint on a socket that was passed, for what was asked for over TCP, empty for the unix socket; nil when there is
// none. The caller holds mu.
func (s *Server) inherit(network, address, listen string) (*endpoint, error) {
	found, err := s.inherited.Find(network, address)
	if err != nil || len(found) == 0 {
		return nil, err
	}
	handover.Close(found[1:])
	l, err := found[0].Listener()
	if err != nil {
		return nil, err
	}
	e := s.newEndpoint(l, listen)
	e.held = found[0].Held
	return e, nil
}

// bound are what a TCP socket for an address may be bound to; none when the address is wrong. Package net binds an address that is
// unspecified, of either family, to that of both where it can.
func bound(listen string) (addresses []string) {
	address, err := net.ResolveTCPAddr("tcp", listen)
	if err != nil {
		return nil
	}
	port := uint16(address.Port)
	four, six := netip.AddrPortFrom(netip.IPv4Unspecified(), port).String(), netip.AddrPortFrom(netip.IPv6Unspecified(), port).String()
	switch {
	case address.IP.Equal(net.IPv4zero):
		return []string{four, six}
	case address.IP == nil, address.IP.IsUnspecified():
		return []string{six, four}
	}
	return []string{netip.AddrPortFrom(address.AddrPort().Addr().Unmap(), port).String()}
}

// openTCP opens the TCP listener, or takes one that was passed.
func (s *Server) openTCP(listen string) (*endpoint, error) {
	for _, address := range bound(listen) {
		if e, err := s.inherit("tcp", address, listen); e != nil || err != nil {
			return e, err
		}
	}
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the admin API on %s: %w%s", listen, err, s.hint(listen, err))
	}
	return s.newEndpoint(l, listen), nil
}

// hint says why an address cannot be had when it is ours that is in the way. The caller holds mu.
func (s *Server) hint(listen string, err error) string {
	if s.tcp == nil || !errors.Is(err, syscall.EADDRINUSE) {
		return ""
	}
	_, ours, _ := net.SplitHostPort(s.tcp.listener.Addr().String())
	if _, port, _ := net.SplitHostPort(listen); port != ours {
		return ""
	}
	return fmt.Sprintf(" (by this gtmd itself, on %s: it moves to another address of the same port only by a restart)", s.tcp.listener.Addr())
}

// openSocket opens the unix socket. A file that a dead process left is replaced; one that is answered is not.
func (s *Server) openSocket(path string) (*endpoint, error) {
	path = filepath.Clean(path) // the next process finds it by this text, however it writes the path
	if e, err := s.inherit("unix", path, ""); e != nil || err != nil {
		return e, err
	}
	if conn, err := net.DialTimeout("unix", path, time.Second); err == nil {
		conn.Close()
		return nil, fmt.Errorf("open the admin socket %s: another gtmd answers on it", path)
	}
	if info, err := os.Lstat(path); err == nil && info.Mode()&os.ModeSocket != 0 {
		os.Remove(path) // Listen says what is wrong when this fails
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	l, err := listenUnix(path)
	if err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	if err := os.Chmod(path, socketMode); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	return s.newEndpoint(l, ""), nil
}

// socketMode is who may use the unix socket: its owner and its group.
const socketMode = 0o660

// listenUnix opens a unix socket that never is open to all: on Linux its file gets the permissions that the socket has before, less the
// umask, which whoever runs gtmd may have set to 0.
func listenUnix(path string) (net.Listener, error) {
	restricted := net.ListenConfig{Control: func(_, _ string, raw syscall.RawConn) error {
		return raw.Control(func(fd uintptr) { syscall.Fchmod(int(fd), socketMode) }) // elsewhere this fails, and the caller's Chmod does it
	}}
	return restricted.Listen(context.Background(), "unix", path)
}

// newHTTP bounds everything that a client may drag out.
func newHTTP(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog:  slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		ConnState: note, ConnContext: withConnection,
	}
}
