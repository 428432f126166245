package admin

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"time"
)

// endpoint is one listener with its HTTP server.
type endpoint struct {
	listener net.Listener
	http     *http.Server
	done     sync.WaitGroup
}

func (e *endpoint) serve() { e.http.Serve(e.listener) } // returns when closed

func (e *endpoint) close() {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Second)
	defer cancel()
	if e.http.Shutdown(ctx) != nil {
		e.http.Close()
	}
	e.done.Wait()
}

// openTCP opens the TCP listener.
func (s *Server) openTCP(listen string) (*endpoint, error) {
	l, err := net.Listen("tcp", listen)
	if err != nil {
		return nil, fmt.Errorf("listen for the admin API on %s: %w%s", listen, err, s.hint(listen, err))
	}
	return &endpoint{listener: l, http: newHTTP(s.handler(false), s.log)}, nil
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
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("open the admin socket: %w", err)
	}
	return &endpoint{listener: l, http: newHTTP(s.handler(true), s.log)}, nil
}

// newHTTP bounds everything that a client may drag out.
func newHTTP(handler http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: handler, ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 10 * time.Second,
		WriteTimeout: 60 * time.Second, IdleTimeout: 60 * time.Second, MaxHeaderBytes: 16 << 10,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}
