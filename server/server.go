// Package server is the sockets: it reads queries over UDP and TCP, has them answered from the current view, and sends
// the replies.
//
// A packet goes from a worker's socket through Responder.Respond and back; a worker shares nothing with another but
// the pointer to the view. Whoever builds views publishes them with Swap. Listeners are changed in two steps, so that
// a configuration that cannot be served changes nothing: Prepare opens what is new, Commit starts it and ends what is
// gone.
package server

import (
	"crypto/rand"
	"crypto/tls"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"gtmd/handover"
	"gtmd/server/querylog"
	"gtmd/server/view"
)

// Server answers queries on any number of addresses. Its methods may be called from any goroutine.
type Server struct {
	log     *slog.Logger
	stats   *Stats
	view    atomic.Pointer[view.View]
	queries *querylog.Log
	// transfers gives zones to secondaries.
	transfers *transfers
	// manners are never nil.
	manners atomic.Pointer[manners]
	start   time.Time
	clock   clock
	// panicLogged is when a panic was logged last, in ns of Unix time.
	panicLogged atomic.Int64

	streams      *streams
	certificates *certificates
	transferer   transferer // transfers, but for tests

	mu        sync.Mutex // guards all below
	secret    cookieSecret
	ticking   chan struct{} // closed to stop the clock; nil while it does not run
	ticker    sync.WaitGroup
	options   Options
	listeners map[netip.AddrPort]*listener
	left      []*listener       // whose sockets another process has
	inherited *handover.Sockets // nil: none
}

// Inherit gives the server sockets of other processes: Prepare uses those that options ask for in place of its own. It comes
// before the first Prepare. The caller closes them: what is there no longer at a later Prepare is opened.
func (s *Server) Inherit(sockets *handover.Sockets) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.inherited = sockets
}

// New returns a server that listens nowhere and has no view: Swap comes before Prepare.
func New(log *slog.Logger, stats *Stats) *Server {
	s := &Server{
		log: log, stats: stats, queries: querylog.New(log, &stats.queries), start: time.Now(), listeners: map[netip.AddrPort]*listener{},
		streams: newStreams(log, &stats.streams), certificates: newCertificates(log, &stats.streams),
	}
	rand.Read(s.secret[:]) // never fails (crypto/rand)
	s.manners.Store(&manners{})
	s.transfers = newTransfers(log, stats, &s.view)
	s.transferer = s.transfers
	return s
}

// ErrOldView is returned by Swap for a view that is not newer than the one in use.
var ErrOldView = errors.New("the view is older than the one in use")

// Swap publishes a view: every query that is read afterwards is answered from it. A view whose generation is not above
// that of the current one is refused with ErrOldView, so that a late builder never undoes a newer decision.
func (s *Server) Swap(v *view.View) error {
	for {
		current := s.view.Load()
		if current != nil && v.Generation <= current.Generation {
			return fmt.Errorf("publish generation %d over %d: %w", v.Generation, current.Generation, ErrOldView)
		}
		if s.view.CompareAndSwap(current, v) {
			s.transfers.wake()
			return nil
		}
	}
}

// View is the view in use; nil before the first Swap.
func (s *Server) View() *view.View { return s.view.Load() }

// CookieSecret is the random secret of DNS cookies that the server made for itself, for a process that takes over from this one.
func (s *Server) CookieSecret() [16]byte {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.secret
}

// SetCookieSecret takes over the random secret of another server. It counts from the next Prepare on.
func (s *Server) SetCookieSecret(secret [16]byte) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.secret = secret
}

// Change is a prepared change of listeners, and of how clients are treated. One is made at a time: Commit or Discard ends it.
type Change struct {
	server  *Server
	options Options
	manners *manners
	pair    *tls.Certificate // nil: no TLS
	fresh   map[netip.AddrPort]*listener
	gone    []*listener
	queries *querylog.Change
}

// Prepare reads what files the options name, and opens the sockets that they ask for and that are not open yet. Those of an address that is served already,
// with other options, are served at once, because the kernel shares its queries out to them; the others wait for Commit.
// On an error nothing is left open and the server goes on as it was. Port 0 is any free port.
func (s *Server) Prepare(options Options) (*Change, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, address := range options.TLS.Listen {
		if other := Clash(address, options.Listen); other.IsValid() {
			return nil, fmt.Errorf("listen on %s over TLS: dns.listen has %s: want another port, such as 853", address, other)
		}
	}
	if options.Workers == 0 {
		options.Workers = runtime.NumCPU()
	}
	manners, err := newManners(options, s.secret, s.manners.Load())
	if err != nil {
		return nil, err
	}
	c := &Change{server: s, options: options, manners: manners, fresh: map[netip.AddrPort]*listener{}}
	same := s.options.Workers == options.Workers && s.options.MaxUDPPayload == options.MaxUDPPayload
	var errs []error
	if c.queries, err = s.queries.Prepare(querylog.Setting{File: options.QueryLog, Dnstap: options.Dnstap, Payload: options.MaxUDPPayload}); err != nil {
		errs = append(errs, err)
	}
	for _, address := range options.Listen {
		running := s.listeners[address]
		if c.fresh[address] != nil || running != nil && same && !running.tcp.secure {
			continue
		}
		l, err := c.open(address)
		if err != nil {
			errs = append(errs, err)
			continue
		}
		c.fresh[address] = l
		if running != nil {
			l.start()
		}
	}
	errs = append(errs, c.prepareTLS()...)
	if err := errors.Join(errs...); err != nil {
		c.discard()
		return nil, err
	}
	for address, l := range s.listeners {
		if c.fresh[address] != nil || !slices.Contains(options.Listen, address) && !slices.Contains(options.TLS.Listen, address) {
			c.gone = append(c.gone, l)
		}
	}
	return c, nil
}

// Discard closes what Prepare opened, and answers what those sockets hold that were served already. After Commit it does
// nothing.
func (c *Change) Discard() {
	c.server.mu.Lock()
	defer c.server.mu.Unlock()
	c.discard()
}

func (c *Change) discard() {
	stopAll(slices.Collect(maps.Values(c.fresh)))
	c.server.own()
	c.queries.Discard()
}

// Commit serves the new sockets, then answers what the gone ones still hold and closes them. It must be called with a view swapped in.
func (c *Change) Commit() {
	s := c.server
	s.mu.Lock()
	defer s.mu.Unlock()
	s.options = c.options
	s.streams.configure(c.options)
	s.certificates.use(c.options.TLS, c.pair)
	c.queries.Commit()
	s.manners.Store(c.manners)
	if s.ticking == nil {
		s.clock.set(s.start, time.Now())
		stop := make(chan struct{})
		s.ticking = stop
		s.ticker.Go(func() { s.clock.run(s.start, stop) })
	}
	for _, l := range c.gone {
		delete(s.listeners, l.address)
	}
	for address, l := range c.fresh {
		l.start()
		s.listeners[address] = l
		s.log.Info("listening", "address", l.actual(), "workers", len(l.workers), "tls", l.tcp.secure)
	}
	stopAll(c.gone)
	s.own()
	for _, l := range c.gone {
		if s.listeners[l.address] == nil {
			s.log.Info("stopped listening", "address", l.actual())
		}
	}
	c.fresh, c.queries = nil, nil
}

// Addresses are the addresses listened on, with the ports that were chosen for port 0.
func (s *Server) Addresses() []netip.AddrPort { return s.addresses(false) }

// TLSAddresses are those listened on for TLS.
func (s *Server) TLSAddresses() []netip.AddrPort { return s.addresses(true) }

func (s *Server) addresses(secure bool) []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	var addresses []netip.AddrPort
	for _, l := range s.listeners {
		if l.tcp.secure == secure {
			addresses = append(addresses, l.actual())
		}
	}
	slices.SortFunc(addresses, netip.AddrPort.Compare)
	return addresses
}

// Sockets are duplicates of every socket that is listened on, for another process; the caller closes them.
func (s *Server) Sockets() (all []handover.Socket, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.listeners {
		sockets, err := l.sockets()
		if err != nil {
			handover.Close(all)
			return nil, fmt.Errorf("duplicate the sockets of %s: %w", l.actual(), err)
		}
		all = append(all, sockets...)
	}
	return all, nil
}

// Finish answers what the UDP sockets among some hold, which nobody reads any more, and has the kernel give what comes then to a
// socket of ours that has the port on every address, if there is one. The sockets stay the caller's.
func (s *Server) Finish(sockets []handover.Socket) {
	s.mu.Lock()
	defer s.mu.Unlock()
	var finishing sync.WaitGroup
	for _, one := range sockets {
		address, err := netip.ParseAddrPort(one.Address)
		if err != nil || one.Network != "udp" {
			continue
		}
		duplicate, err := one.Duplicate()
		if err != nil {
			continue // what it holds is lost
		}
		w, err := s.inheritUDP(duplicate, address, s.options)
		if err != nil {
			continue
		}
		w.stop()
		finishing.Go(w.run)
	}
	finishing.Wait()
}

// Own is called when the process that sockets were inherited from has left.
func (s *Server) Own() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.own()
}

// own is Own for who holds mu.
func (s *Server) own() {
	for _, l := range s.listeners {
		for _, w := range l.workers {
			w.own()
		}
	}
}

// Leave stops reading from every socket, which another process does now: what is queued there is for it. It returns when what
// was read over UDP is answered. Connections that are open are served until they are idle; Close waits for them.
func (s *Server) Leave() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.left = slices.AppendSeq(s.left, maps.Values(s.listeners))
	clear(s.listeners)
	var leaving sync.WaitGroup
	for _, l := range s.left {
		leaving.Go(l.leave)
	}
	leaving.Wait()
}

// Close stops listening, answers what is in flight and returns when every worker has ended and the query log is written.
func (s *Server) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	stopAll(slices.Collect(maps.Values(s.listeners)))
	clear(s.listeners)
	for _, l := range s.left {
		l.tcp.wait()
	}
	s.queries.Close()
	if s.ticking != nil {
		close(s.ticking)
		s.ticker.Wait()
		s.ticking = nil
	}
	s.certificates.use(TLSOptions{}, nil)
}

// responder makes a Responder for a new worker.
func (s *Server) responder(count *counters) *Responder {
	r := &Responder{view: &s.view, manners: &s.manners, clock: &s.clock, transfers: s.transfers, count: count, askers: s.stats.askers, dice: newDice(seed())}
	r.record = recorder{log: s.queries, lane: s.queries.Lane(), lot: seed()}
	switch {
	case count.tls:
		r.record.transport = querylog.DoT
	case !count.udp:
		r.record.transport = querylog.TCP
	}
	return r
}

// seed is a random number.
func seed() uint64 {
	var seed [8]byte
	rand.Read(seed[:]) // never fails (crypto/rand)
	return binary.LittleEndian.Uint64(seed[:])
}

// caught counts a panic while answering a packet. It logs one a second: a packet that panics can be sent again and again.
func (s *Server) caught(reason any, packet []byte) {
	count := s.stats.panics.Add(1)
	now, before := time.Now().UnixNano(), s.panicLogged.Load()
	if now-before < int64(time.Second) || !s.panicLogged.CompareAndSwap(before, now) {
		return
	}
	stack := make([]byte, 4096)
	s.log.Error("panic while answering a query: please report it", "reason", fmt.Sprint(reason), "panics", count,
		"octets", len(packet), "packet", hex.EncodeToString(packet[:min(len(packet), packetLen)]),
		"stack", string(stack[:runtime.Stack(stack, false)]))
}
