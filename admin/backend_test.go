package admin_test

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/user"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"

	"gtmd/admin"
)

var update = flag.Bool("update", false, "write the golden files in testdata anew")

// backend is a process whose state is made up. What steers it, and what is reported to it, it notes.
type backend struct {
	down     atomic.Bool
	reloads  atomic.Int64
	err      error
	switched chan admin.SwitchRequest
	asked    chan admin.Question
	set      chan admin.OverrideRequest
	cleared  chan admin.ClearRequest
	pushed   chan admin.PushReport
	hold     chan struct{} // Reload waits for it when it is not nil
	drilled  chan admin.DrillRequest
	wanted   chan admin.EventQuery
	targeted chan admin.TargetQuery
	changes  atomic.Int64 // how often something was changed

	mu       sync.Mutex // guards all below
	caller   admin.Caller
	refused  []refusal
	happened []admin.Event // the oldest first
	watchers map[chan struct{}]bool
}

func newBackend() *backend {
	return &backend{
		switched: make(chan admin.SwitchRequest, 1), asked: make(chan admin.Question, 1), set: make(chan admin.OverrideRequest, 1),
		cleared: make(chan admin.ClearRequest, 1), pushed: make(chan admin.PushReport, 1), drilled: make(chan admin.DrillRequest, 1),
		wanted: make(chan admin.EventQuery, 1), targeted: make(chan admin.TargetQuery, 1), watchers: map[chan struct{}]bool{},
		happened: []admin.Event{event(3), event(7)},
	}
}

func (b *backend) Ready() error {
	if b.down.Load() {
		return errors.New("waiting for the first round of probes")
	}
	return nil
}

func (b *backend) Reload(ctx context.Context) error {
	b.changed(ctx)
	b.reloads.Add(1)
	if b.hold != nil {
		<-b.hold
	}
	return b.err
}

func (b *backend) Switch(ctx context.Context, r admin.SwitchRequest) (admin.SwitchResult, error) {
	b.changed(ctx)
	keep(b.switched, r)
	kept := []admin.KeptFamily{{Family: "ipv6", Reason: "the primary set is not available"}}
	return admin.SwitchResult{SwitchRequest: r, Moved: []string{"ipv4"}, Kept: kept}, b.err
}

func (b *backend) Overrides() []admin.Override {
	expires, over := at(50), admin.DefaultDrain
	return []admin.Override{
		{ID: "o1", OverrideTarget: admin.OverrideTarget{Address: "192.0.2.1", Pool: "test1"}, State: "drain", Reason: "new kernel", Author: "alice",
			Since: at(1), Expires: &expires, Over: &over, Phase: "draining, weight 40%", Affects: 1, Drill: "d2"},
		{ID: "o2", OverrideTarget: admin.OverrideTarget{Instance: "cdn-origin", Policy: "Global", Set: "backup"}, State: "down", Reason: "not paid",
			Author: "bob", Since: at(2), Forced: true, Affects: 2},
	}
}

func (b *backend) SetOverride(ctx context.Context, r admin.OverrideRequest) (admin.OverrideResult, error) {
	b.changed(ctx)
	keep(b.set, r)
	o := b.Overrides()[0]
	o.OverrideTarget, o.State, o.Reason, o.Author, o.Forced = r.OverrideTarget, r.State, r.Reason, r.Author, r.Force
	if r.Until != nil || r.For != 0 {
		return admin.OverrideResult{Override: o}, b.err
	}
	o.Expires = nil
	return admin.OverrideResult{Override: o, Warnings: []string{"it has no end"}}, b.err
}

func (b *backend) ClearOverride(ctx context.Context, r admin.ClearRequest) (admin.ClearResult, error) {
	b.changed(ctx)
	keep(b.cleared, r)
	if r.ID == "o9" {
		return admin.ClearResult{}, b.err
	}
	return admin.ClearResult{Cleared: b.Overrides()[:1], Warnings: []string{"hm"}}, b.err
}

// Push believes the token "secret" for 2001:db8::1 and the check "a/b", and fails with err.
func (b *backend) Push(_ context.Context, r admin.PushReport) error {
	keep(b.pushed, r)
	switch {
	case r.Check != "a/b" || r.Address != "2001:db8::1":
		return fmt.Errorf("report: %w", admin.ErrPushTarget)
	case r.Token != "secret":
		return fmt.Errorf("report: %w", admin.ErrPushToken)
	}
	return b.err
}

func at(second int) time.Time { return time.Date(2026, 1, 2, 3, 4, second, 0, time.UTC) }

func (b *backend) Explain(q admin.Question) (admin.Explanation, error) {
	keep(b.asked, q)
	if q.Name == "" {
		return admin.Explanation{}, errors.New("the name to explain is missing")
	}
	since, until := at(1), at(2)
	return admin.Explanation{
		Question: q, Address: netip.MustParseAddr("198.51.100.7"), Subnet: true, Found: "access domain", RCode: "NOERROR",
		Answer: []string{"origin.gtm.test. 60 IN A 192.0.2.2"}, Authority: []string{"gtm.test. 60 IN NS ns.gtm.test."}, TTL: 60, Scope: 24, Instance: "cdn-origin",
		Databases: []admin.DatabaseFacts{{Path: "city.mmdb", Type: "GeoLite2-City", Built: at(0), Prefix: netip.MustParsePrefix("198.51.100.0/22"), Facts: "AS JP"}},
		Lines: []admin.LineMatch{
			{Source: "country:JP", Prefix: netip.MustParsePrefix("198.51.100.0/22"), Database: "city.mmdb", Built: &since},
			{Source: "global", Prefix: netip.MustParsePrefix("0.0.0.0/0"), Policy: "Global", Chosen: true}},
		Place:     &admin.Place{Latitude: 35.7, Longitude: 139.7},
		Distances: []admin.Distance{{Pool: "test2", Known: true, Value: 12, Unit: "km", From: "location"}, {Pool: "test1", Unit: "km", From: "the pool has no location"}},
		Policy:    "Office", FellThrough: "Global", InForce: "backup", Why: "failback waits", Since: &since, Until: &until,
		Sets: sets(true), PassedSets: sets(true), Choice: "192.0.2.2", Health: true, Generation: 7, Earliest: &until, EarliestWhy: "failback",
	}, nil
}

func note() *admin.OverrideNote {
	expires := at(50)
	return &admin.OverrideNote{ID: "o1", State: "drain", Reason: "new kernel", Author: "alice", Since: at(1), Expires: &expires}
}

// probed is what a health check knows, with everything in it.
func probed() admin.ProbeStatus {
	since, expires := at(1), at(59)
	return admin.ProbeStatus{
		Verdict: "down", Since: &since, Reason: "HTTP 503, wanted 200-499", Bad: 3, Good: 1, LastProbe: &since, LastMilliseconds: 10,
		Phases:    &admin.Phases{ConnectMS: 1.5, TLSMS: 3, FirstByteMS: 5, BodyMS: 0.5},
		LastError: "HTTP 503, wanted 200-499", CannotProbe: true, Degraded: "took 2s", Flapping: &since, Warning: "soon", CertificateExpires: &expires,
	}
}

func sets(members bool) []admin.SetStatus {
	since := at(1)
	s := admin.SetStatus{Role: "backup", InForce: true, Available: true, Since: &since, Verdict: "in force", Balance: "all",
		UpAddresses: 1, Addresses: 2, Need: 1, Pools: []string{"test2"}}
	if members {
		s.Members = []admin.AddressStatus{{Pool: "test2", Address: "192.0.2.2", Mode: "intelligent", Weight: 1, Share: 40,
			Available: true, Standing: "up", Served: true, Override: note()}}
	}
	return []admin.SetStatus{s}
}

func (b *backend) Status() admin.Status {
	refused, since, until := at(3), at(1), at(2)
	return admin.Status{
		Version: admin.Version{Version: "1.2.3", Revision: "abc", Modified: true, Go: "go1.26.0", Platform: "linux/amd64"},
		Started: at(0), Ready: "ready", StateError: "disk full", StateFailed: func() *time.Time { at := at(3); return &at }(), Listen: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:53")},
		Config: admin.ConfigStatus{File: "gtmd.toml", Hash: "00ff", Loaded: at(0), Error: "gtmd.toml:1:1: no", Refused: &refused,
			Generation: 7, Warnings: []string{"gtmd.toml:2:1: hm"}},
		Databases: []admin.DatabaseStatus{{Path: "city.mmdb", Type: "GeoLite2-City", Description: "where", Built: at(0), AgeSeconds: 86400, Hash: "00aa",
			Networks4: 3, Networks6: 2, State: admin.DatabaseRefused, Error: "it has 0 octets", Refused: &refused}},
		Instances: []admin.InstanceStatus{{Name: "cdn-origin", AccessDomain: "origin.gtm.test.", Aliases: []string{"old.gtm.test."}, BusinessDomains: []string{"www.shop.test."}, TTL: 60,
			Policies: []admin.PolicyStatus{{Name: "Global", Sources: []string{"global"}, Family: "ipv4", InForce: "backup", Why: "failback waits",
				Since: since, Until: &until, Sets: sets(false)}}}},
		Blind:     []admin.BlindStatus{{Family: "ipv6", Since: since, Reason: "9 of 10 targets in 4 networks fail at once"}},
		Overrides: b.Overrides(),
		Pools: []admin.PoolStatus{
			{Name: "test1", Type: "ipv4", HealthChecks: []string{"web"}, Addresses: []admin.AddressStatus{{
				Address: "192.0.2.1", Remark: "rack 2", Mode: "intelligent", Weight: 1, Share: 100, Standing: "down", ProbeStatus: probed(),
			}}},
			{Name: "names", Type: "domain", HealthChecks: []string{"web", "tls"}, Judge: "any",
				Resolved: []admin.ResolvedStatus{
					{Name: "origin.example", Addresses: []netip.Addr{netip.MustParseAddr("2001:db8::1")}, At: &since, Error: "SERVFAIL"},
				},
				Addresses: []admin.AddressStatus{{
					Address: "origin.example", Mode: "intelligent", Weight: 2, Share: 40, Available: true, Standing: "up", Override: note(),
					ProbeStatus: admin.ProbeStatus{Verdict: "unknown"},
					Checks: []admin.CheckStatus{
						{HealthCheck: "web", Address: "2001:db8::1", ProbeStatus: probed()},
						{HealthCheck: "tls", Address: "2001:db8::1", ProbeStatus: admin.ProbeStatus{Verdict: "up", Phases: &admin.Phases{ConnectMS: 2}}},
					},
				}}},
		},
		Switches: []admin.Switch{{Time: since, Instance: "cdn-origin", Policy: "Global", Family: "ipv4", From: "primary", To: "backup",
			Why: "failover", Reason: "192.0.2.1: HTTP 503, wanted 200-499"}},
	}
}

// service is a server with its backend, and a directory for its socket, whose path has to be short.
type service struct {
	*admin.Server
	backend *backend
	dir     string
}

func newService(t *testing.T, pages ...admin.Page) *service {
	t.Helper()
	dir, err := os.MkdirTemp("", "gtmd")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	b := newBackend()
	server, err := admin.New(b, prometheus.NewRegistry(), slog.New(slog.NewTextHandler(io.Discard, nil)), pages...)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(server.Close)
	return &service{Server: server, backend: b, dir: dir}
}

func (s *service) path(name string) string { return filepath.Join(s.dir, name) }

// listen serves options, which have to be right.
func (s *service) listen(t *testing.T, o admin.Options) {
	t.Helper()
	change, err := s.Prepare(o)
	if err != nil {
		t.Fatal(err)
	}
	change.Commit()
}

// both serves on a TCP address of this machine and on a socket.
func (s *service) both(t *testing.T) {
	t.Helper()
	s.listen(t, admin.Options{Listen: "127.0.0.1:0", Socket: s.path("admin.sock")})
}

// me is the name of the user that the test runs as.
func me(t *testing.T) string {
	t.Helper()
	u, err := user.Current()
	if err != nil {
		t.Fatal(err)
	}
	return u.Username
}

// reply is what came back.
type reply struct {
	code   int
	body   string
	header http.Header
}

// send sends a request to a unix socket, when the address is a path, or to a TCP address. Headers are "Name: value".
func send(t *testing.T, address, method, path, body string, headers ...string) reply {
	t.Helper()
	r, err := try(address, method, path, body, headers...)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func try(address, method, path, body string, headers ...string) (reply, error) {
	network := "tcp"
	if strings.HasPrefix(address, "/") {
		network = "unix"
	}
	transport := &http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, network, address)
	}}
	defer transport.CloseIdleConnections()
	host := "gtmd"
	if network == "tcp" {
		host = address
	}
	request, err := http.NewRequest(method, "http://"+host+path, strings.NewReader(body))
	if err != nil {
		return reply{}, err
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ": ")
		request.Header.Add(name, value)
		if name == "Host" {
			request.Host = value
		}
	}
	response, err := (&http.Client{Transport: transport, Timeout: soon, CheckRedirect: func(*http.Request, []*http.Request) error {
		return http.ErrUseLastResponse
	}}).Do(request)
	if err != nil {
		return reply{}, err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	return reply{response.StatusCode, string(text), response.Header}, err
}

// golden compares a text to a file in testdata.
func golden(t *testing.T, file, got string) {
	t.Helper()
	file = filepath.Join("testdata", file)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("not what %s has (-want +got); if that is meant, run go test -update:\n%s", file, diff)
	}
}

func equal[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func contains(t *testing.T, err error, want string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error is %v, want one with %q", err, want)
	}
}

// taken is what has come over a channel.
func taken[T any](t *testing.T, c chan T) T {
	t.Helper()
	select {
	case value := <-c:
		return value
	case <-time.After(soon):
		t.Fatal("nothing has come")
		panic("not reached")
	}
}

// lockedLog returns a log that writes to a text.
func lockedLog(to *strings.Builder) *slog.Logger { return slog.New(slog.NewTextHandler(to, nil)) }
