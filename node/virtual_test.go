package node

import (
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/config"
	"gtmd/handover"
	"gtmd/healthcheck"
	"gtmd/resolver"
	"gtmd/server"
)

// stage is a node without sockets and in virtual time (testing/synctest): its controller, its health checks and its saved state are
// real, and each origin is well or is not, as the test says.
type stage struct {
	t   *testing.T
	log *lines
	dir string

	isTelling bool // the nodes tell the alert groups of their configurations

	mu   sync.Mutex // guards down
	down map[string]bool
}

// lines is a log for tests.
type lines struct {
	mu   sync.Mutex // guards text
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

func newStage(t *testing.T) *stage {
	return &stage{t: t, log: new(lines), dir: t.TempDir(), down: map[string]bool{}}
}

// set says whether an origin is well.
func (s *stage) set(address string, isWell bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.down[address] = !isWell
}

// plan compiles a configuration whose probes ask the stage.
func (s *stage) plan(n *Node, text string) *plan {
	s.t.Helper()
	c, err := config.LoadText("gtmd.toml", []byte(text+"\n[state]\ndir = \""+s.dir+"\"\n"))
	if err != nil {
		s.t.Fatal(err)
	}
	p, err := compile(c, n.prober, n.atlas, nil, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	for i := range p.targets {
		address := p.targets[i].Address.String()
		p.targets[i].Probe = func(context.Context, *healthcheck.Report) error {
			s.mu.Lock()
			defer s.mu.Unlock()
			if s.down[address] {
				return errors.New("connection refused")
			}
			return nil
		}
	}
	return p
}

// start runs a configuration from what an earlier process has left; nil: nothing.
func (s *stage) start(text string, left []byte, tookOver bool) *Node {
	s.t.Helper()
	stats := server.NewStats()
	log := slog.New(slog.NewTextHandler(s.log, nil))
	n := &Node{
		options: Options{Name: "gtmd.toml"}, log: log, started: time.Now(), registry: prometheus.NewRegistry(), stats: stats, prober: healthcheck.NewProber(),
		dns: server.New(log, stats), loading: make(chan struct{}, 1), requests: make(chan request), stopped: make(chan struct{}),
		probing: make(chan struct{}, maxProbing), followed: make(chan struct{}, 1), unsaved: make(chan struct{}, 1), uncopied: make(chan struct{}, 1),
		untidy: make(chan struct{}, 1), atlas: newAtlas(), sockets: handover.NewSockets(), moved: make(chan struct{}, 1), handedOver: make(chan struct{}),
		tookOver: tookOver,
	}
	var err error
	fail := func(err error) {
		s.t.Helper()
		if err != nil {
			s.t.Fatal(err)
		}
	}
	var saved origin
	saved.generation = 1
	switch {
	case tookOver:
		saved, err = originOf(left)
		fail(err)
	case left != nil:
		saved.stateBody, err = decodeState(left)
		fail(err)
		saved.revive(time.Now(), boot{})
	}
	n.metrics, err = newMetrics(n)
	fail(err)
	n.events, err = newEventLog(func() string { return s.dir }, log, n.registry) // neither this nor the teller is open: nobody is told
	fail(err)
	n.teller = newTeller(n.tell, n.reconcile)
	n.resolver, err = resolver.NewWithSaved(resolver.Options{}, nil, log, n.registry)
	fail(err)
	n.engine, err = healthcheck.NewEngine(healthcheck.EngineOptions{Logger: log, Registerer: n.registry, Saved: saved.Targets})
	fail(err)
	p := s.plan(n, text)
	n.probeAll(p)
	if left == nil {
		<-n.engine.Settled()
	}
	w, err := first(p, n.engine.Status(), saved.heritage(time.Now(), log), saved.generation+1, n.stats.Counter, time.Now())
	fail(err)
	n.world.Store(w)
	fail(n.dns.Swap(w.view))
	if s.isTelling {
		n.alerts, err = n.newAlerts(p.config)
		fail(err)
		n.events.open()
		n.teller.open(saved.Told)
	}
	n.teller.follow(w, n.announce(saved.memory(), w, w.loaded), w.loaded)
	n.resumeDrills(saved.memory(), w)
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	n.running.Go(func() { n.runController(ctx) })
	return n
}

// stop ends the controller and the health checks, and returns the state that is left, as it is saved or handed over.
func (s *stage) stop(n *Node, handsOver bool) []byte {
	s.t.Helper()
	n.teller.close()
	left, err := encodeState(n.body(false))
	if handsOver {
		left, err = n.handed(true)
	}
	if err != nil {
		s.t.Fatal(err)
	}
	s.end(n)
	return left
}

func (s *stage) end(n *Node) {
	close(n.stopped)
	n.cancel()
	n.running.Wait()
	if s.isTelling {
		n.endTelling()
	}
	n.engine.Close()
	n.resolver.Close()
	n.prober.Close()
	n.dns.Close()
}

// reload serves another configuration.
func (s *stage) reload(n *Node, text string) {
	s.t.Helper()
	p := s.plan(n, text)
	p, built, err := n.rehearse(p)
	if err != nil {
		s.t.Fatal(err)
	}
	err = n.ask(context.Background(), func() error {
		w, now := n.world.Load(), time.Now()
		next, err := n.follow(w, p, built, now)
		if err != nil {
			return err
		}
		if err := n.swap(w, next, now); err != nil {
			return err
		}
		n.probeAll(p)
		return nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
}
