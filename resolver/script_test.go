package resolver

import (
	"bytes"
	"context"
	"log/slog"
	"net/netip"
	"os"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus"
)

// script is an exchange for virtual time whose answers can be changed, and that notes when it is asked. An answer is
// the text of records, "SERVFAIL" or another response code, "silence", or "" for no records.
type script struct {
	t *testing.T

	mu      sync.Mutex
	answers map[string]string // By name and type: "www.example.net. A".
	times   map[string][]time.Time
	servers []netip.AddrPort // As they were asked.
	now     int              // Exchanges that run now.
	most    int              // The most that ever ran.
}

func newScript(t *testing.T) *script {
	return &script{t: t, answers: make(map[string]string), times: make(map[string][]time.Time)}
}

func (s *script) set(question, answer string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.answers[question] = answer
}

// asked returns when a question was asked.
func (s *script) asked(question string) []time.Time {
	s.mu.Lock()
	defer s.mu.Unlock()
	return append([]time.Time(nil), s.times[question]...)
}

func (s *script) exchange(ctx context.Context, q query) (*dns.Msg, error) {
	key := q.question.Name + " " + dns.TypeToString[q.question.Qtype]
	s.mu.Lock()
	s.times[key] = append(s.times[key], time.Now())
	s.servers = append(s.servers, q.server)
	s.now++
	s.most = max(s.most, s.now)
	answer := s.answers[key]
	s.mu.Unlock()
	defer func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		s.now--
	}()
	if answer == "silence" {
		ctx, cancel := context.WithTimeout(ctx, q.timeout)
		defer cancel()
		<-ctx.Done()
		return nil, os.ErrDeadlineExceeded
	}
	if code, ok := dns.StringToRcode[answer]; ok {
		m := message(s.t)
		m.Rcode = code
		return m, nil
	}
	return message(s.t, strings.FieldsFunc(answer, func(r rune) bool { return r == '\n' })...), nil
}

// oneServer are the options of most tests: the defaults, with a server.
func oneServer() Options {
	return Options{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")}}.withDefaults()
}

// logged is what a resolver has written to its log.
type logged struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (l *logged) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.Write(p)
}

// take returns the lines since the last call.
func (l *logged) take() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	defer l.buf.Reset()
	return l.buf.String()
}

// logger returns one without times.
func (l *logged) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{ReplaceAttr: func(_ []string, a slog.Attr) slog.Attr {
		if a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}

// start returns a resolver that asks the script; the test's end closes it.
func (s *script) start(saved map[string]SavedAnswer, log *logged, registerer prometheus.Registerer) *Resolver {
	s.t.Helper()
	var logger *slog.Logger
	if log != nil {
		logger = log.logger()
	}
	r, err := newResolver(oneServer(), saved, logger, registerer, s.exchange)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(r.Close)
	return r
}
