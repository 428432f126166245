package admin

import (
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"path/filepath"
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/handover"
)

// Page is something that is served over TCP and over the socket beside the API: a page of the dashboard. To who may not see it, a
// browser is sent to [LoginPath], or told why not.
type Page struct {
	Pattern string // as [http.ServeMux] reads it; empty: what a GET of anything gets that there is not
	Name    string // in metrics
	Access  Access
	// Costs is whether it takes much to answer, an explanation for example: each client gets a bounded number.
	Costs bool
	// Waits is whether it waits for others, as for the network. What does not is made in turns: see [Server].
	Waits   bool
	Handler http.HandlerFunc
}

// Server serves the API on a TCP address and on a unix socket. Over TCP it makes only so many replies at once that DNS has processors left. Its methods may be called from any goroutine.
type Server struct {
	backend  Backend
	gatherer prometheus.Gatherer
	log      *slog.Logger
	metrics  *metrics
	retired  sync.WaitGroup // endpoints that end after a Commit
	pages    []Page
	rules    atomic.Pointer[rules]
	origins  http.CrossOriginProtection
	sessions sessions
	streams  streamCount
	failures *limiter // wrong tokens
	changes  *limiter
	reads    *limiter // those that cost much
	notes    *limiter // refused changes that are noted
	turns    *turns

	mu      sync.Mutex // guards all below
	options Options
	tcp     *endpoint
	socket  *endpoint
	// inherited are sockets that other processes have opened; nil: none.
	inherited *handover.Sockets
}

// Inherit gives the server sockets of other processes: Prepare uses those that options ask for in place of its own. It comes
// before the first Prepare. The caller closes them: what is there no longer at a later Prepare is opened.
func (s *Server) Inherit(sockets *handover.Sockets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inherited = sockets
}

// New returns a server that listens nowhere. The patterns of pages are none of the API's.
func New(backend Backend, registry *prometheus.Registry, log *slog.Logger, pages ...Page) (*Server, error) {
	s := &Server{
		backend: backend, gatherer: registry, log: log, pages: pages,
		failures: newLimiter("wrong tokens", authRate), changes: newLimiter("changes", changeRate),
		reads: newLimiter("questions that take long", readRate), notes: newLimiter("refused changes", noteRate),
		turns: newTurns(),
	}
	s.rules.Store(&rules{replaced: make(chan struct{})})
	var err error
	if s.metrics, err = newMetrics(registry, s); err != nil {
		return nil, fmt.Errorf("register the metrics of the admin API: %w", err)
	}
	return s, nil
}

// Change is a prepared change of listeners. One is made at a time: Commit or Discard ends it.
type Change struct {
	server      *Server
	options     Options
	rules       *rules
	tcp, socket *endpoint // as they will be; those of the server where nothing changes
}

// Prepare opens the listeners that options ask for and that are not open yet, without serving them. On an error nothing
// is left open and the server goes on as it was.
func (s *Server) Prepare(options Options) (_ *Change, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c := &Change{server: s, options: options, tcp: s.tcp, socket: s.socket}
	defer func() {
		if err != nil {
			c.Discard()
		}
	}()
	if c.rules, err = readRules(options); err != nil {
		return nil, err
	}
	if options.Listen == "" {
		c.tcp = nil
	} else if s.tcp == nil || options.Listen != s.options.Listen {
		if c.tcp, err = s.openTCP(options.Listen); err != nil {
			return nil, err
		}
	}
	if options.Socket == "" {
		c.socket = nil
	} else if s.socket == nil || filepath.Clean(options.Socket) != filepath.Clean(s.options.Socket) {
		if c.socket, err = s.openSocket(options.Socket); err != nil {
			return nil, err
		}
	}
	return c, nil
}

// Discard closes what Prepare opened. After Commit it does nothing.
func (c *Change) Discard() {
	if c.tcp != nil && c.tcp != c.server.tcp {
		c.tcp.listener.Close()
	}
	if c.socket != nil && c.socket != c.server.socket {
		c.socket.listener.Close()
	}
}

// Commit serves the new listeners and closes those that are gone. It does not wait for requests in flight: one of them
// may be the very request for the change.
func (c *Change) Commit() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options = c.options
	if old := s.rules.Swap(c.rules); !old.sameTokens(c.rules) {
		close(old.replaced) // streams begin again, with a token that still counts
	} else {
		c.rules.replaced = old.replaced
	}
	if exposed := c.rules.tokens.Exposed; exposed != "" {
		s.log.Warn("token file", "warning", exposed)
	}
	for _, e := range []struct{ old, now *endpoint }{{s.tcp, c.tcp}, {s.socket, c.socket}} {
		if e.old == e.now {
			continue
		}
		if e.now != nil {
			e.now.done.Go(e.now.serve)
			s.log.Info("admin API", "address", e.now.listener.Addr())
		}
		if e.old != nil {
			s.log.Info("admin API ends", "address", e.old.listener.Addr())
			e.old.listener.Close()
			s.retired.Go(e.old.close)
		}
	}
	s.tcp, s.socket = c.tcp, c.socket
	c.tcp, c.socket = nil, nil
}

// Address is the TCP address that is listened on; nil when there is none.
func (s *Server) Address() net.Addr {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.tcp == nil {
		return nil
	}
	return s.tcp.listener.Addr()
}

// Sockets are duplicates of the sockets that are listened on, for another process; the caller closes them.
func (s *Server) Sockets() (all []handover.Socket, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range []*endpoint{s.tcp, s.socket} {
		if e == nil {
			continue
		}
		socket, err := e.duplicate()
		if err != nil {
			handover.Close(all)
			return nil, fmt.Errorf("duplicate the socket of the admin API on %s: %w", e.listener.Addr(), err)
		}
		all = append(all, socket)
	}
	return all, nil
}

// Own makes the server remove the file of its unix socket at its end, also when it was inherited from a process that has
// left. One that somebody else holds stays.
func (s *Server) Own() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket != nil && !s.socket.held {
		s.socket.unlink(true)
	}
}

// Leave is Close for sockets that another process serves now: the file of the unix socket stays. It does not wait; Close does.
func (s *Server) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.socket != nil {
		s.socket.unlink(false)
	}
	for _, e := range []*endpoint{s.tcp, s.socket} {
		if e != nil {
			e.listener.Close()
			s.retired.Go(e.close)
		}
	}
	s.tcp, s.socket = nil, nil
}

// Close stops serving and waits for every goroutine; requests in flight have two seconds.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, e := range []*endpoint{s.tcp, s.socket} {
		if e != nil {
			s.retired.Go(e.close)
		}
	}
	s.tcp, s.socket = nil, nil
	s.retired.Wait()
}
