package alert

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// addressee is a Sender that keeps what it gets, and fails as it is told. Safe for concurrent use.
type addressee struct {
	mu       sync.Mutex
	got      []*Message
	at       []time.Time
	attempts int
	err      error
	hang     time.Duration
	isKilled bool // What comes then comes from a process that is not there any more.
}

func (r *addressee) kill(is bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.isKilled = is
}

func (r *addressee) Send(ctx context.Context, m *Message) error {
	r.mu.Lock()
	r.attempts++
	err, hang := r.err, r.hang
	r.mu.Unlock()
	if hang > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(hang):
		}
	}
	if err != nil {
		return err
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.isKilled {
		return errors.New("killed")
	}
	r.got, r.at = append(r.got, m), append(r.at, time.Now())
	return nil
}

func (r *addressee) To() string { return "receiver" }

func (r *addressee) fail(err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.err = err
}

func (r *addressee) messages() []*Message {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.Clone(r.got)
}

// titles are those of all messages.
func (r *addressee) titles() string {
	var all []string
	for _, m := range r.messages() {
		all = append(all, m.Title)
	}
	return strings.Join(all, " | ")
}

// stage is a service with receivers by the name of their method.
type stage struct {
	*Service
	t         testing.TB
	dir       string
	receivers map[string]*addressee
	log       *strings.Builder
}

// ops is a group with the defaults and methods of the names.
func ops(methods ...string) GroupOptions {
	g := GroupOptions{
		Name: "ops", Resolved: true, Default: true, General: true, GroupWait: 2 * time.Second, Hold: 30 * time.Second,
		Urgent: []Kind{FailOpen, ProberBlind}, Keep: 24 * time.Hour,
	}
	if err := g.TimeZone.UnmarshalText([]byte("UTC")); err != nil {
		panic(err)
	}
	for _, name := range methods {
		g.Methods = append(g.Methods, MethodOptions{Name: name, Kind: Webhook, Rate: Rate{20, time.Minute}, Timeout: 10 * time.Second})
	}
	return g
}

func newStage(t testing.TB) *stage {
	return &stage{t: t, dir: t.TempDir(), receivers: map[string]*addressee{}, log: &strings.Builder{}}
}

// start starts the service, as after a restart when it was there before.
func (s *stage) start(groups ...GroupOptions) {
	s.t.Helper()
	handler := slog.NewTextHandler(s.log, nil)
	service, err := start(Options{Dir: s.dir, Node: "ns1", Log: slog.New(handler)}, func(o MethodOptions, _ *slog.Logger) (Sender, error) {
		r := s.receivers[o.Label()]
		if r == nil {
			r = &addressee{}
			s.receivers[o.Label()] = r
		}
		return r, nil
	})
	if err != nil {
		s.t.Fatal(err)
	}
	s.Service = service
	if err := s.Configure(groups, nil); err != nil {
		s.t.Fatal(err)
	}
}

func (s *stage) stop() {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	s.Close(ctx)
}

// after lets a time pass.
func (s *stage) after(d time.Duration) { time.Sleep(d); synctest.Wait() }

func down(address string) Event {
	return Event{Time: time.Now(), Kind: "address_down", Key: address, Cause: address, Title: "address " + address + " is down", Text: "connection refused"}
}

func up(address string) Event {
	e := down(address)
	e.Resolved, e.Title, e.Text = true, "address "+address+" is up", ""
	return e
}

func switched(to, cause string) Event {
	return Event{Time: time.Now(), Kind: "switch", Cause: cause, Rank: 2, Title: "switched to " + to}
}
