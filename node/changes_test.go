package node

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"gtmd/admin"
	"gtmd/geo"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// shared has an origin, 192.0.2.1, in two pools and two instances, and one of its own in each.
const shared = `
[[zone]]
name = "gtm.test"
nameservers = ["ns.example.net"]
contact = "hostmaster@gtm.test"
[[health_check]]
name = "web"
protocol = "http"
[[pool]]
name = "a"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.1"]
[[pool]]
name = "b"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.1", "192.0.2.2"]
[[pool]]
name = "spare"
type = "ipv4"
health_check = "web"
addresses = ["192.0.2.9"]
[[instance]]
name = "one"
access_domain = "one.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["a"] }
backup = { pools = ["spare"] }
[[instance]]
name = "two"
access_domain = "two.gtm.test"
[[instance.policy]]
name = "Global"
sources = ["global"]
primary = { pools = ["b"], min_available = 1 }
backup = { pools = ["spare"] }
`

// saga tells worlds one after the other, as the teller does.
type saga struct {
	t    *testing.T
	told map[string]*trouble
	w    *world // the latest; nil: none yet
	all  []change
}

// tell tells the next world, and returns what is new.
func (s *saga) tell(next *world, now time.Time) []change {
	s.t.Helper()
	if s.told == nil {
		s.told = map[string]*trouble{}
	}
	var memory map[policyKey]policy.Memory
	if s.w != nil {
		memory = s.w.memoryBefore(next)
	}
	before := maps.Clone(s.told)
	found := changesSince(s.told, s.w, next, next.switches(memory, now), now)
	if len(before) != len(s.told) {
		s.t.Error("it has written to what was told")
	}
	for _, c := range found {
		switch {
		case c.key == "":
		case c.isEnd:
			if s.told[c.key] == nil {
				s.t.Errorf("the end of %s, which nobody was told of", c.key)
			}
			delete(s.told, c.key)
		default:
			if s.told[c.key] != nil {
				s.t.Errorf("%s is told twice", c.key)
			}
			s.told[c.key] = &trouble{c.key, c.cause, c.Event}
		}
		if begin, isEnd, ok := isAlert(c.Kind); !ok || isEnd != c.isEnd || begin == c.Kind == isEnd {
			s.t.Errorf("%s is told as an end: %v", c.Kind, c.isEnd)
		}
	}
	s.w = next
	s.all = append(s.all, found...)
	return found
}

// health tells the world with these verdicts.
func (s *saga) health(seconds int, verdicts ...string) []change {
	s.t.Helper()
	status := statusOf(verdicts...)
	return s.tell(s.w.next(status, nil, at(seconds)), at(seconds))
}

// toldTexts are changes as "kind: message; reason <- cause (instances)".
func toldTexts(all []change) []string {
	var list []string
	for _, c := range all {
		list = append(list, fmt.Sprintf("%s: %s; %s <- %s (%s)", c.Kind, c.Message, c.Reason, c.cause, strings.Join(c.instances, " ")))
	}
	return list
}

func newSaga(t *testing.T, text string, verdicts ...string) *saga {
	t.Helper()
	s := &saga{t: t}
	check(t, "at the start", toldTexts(s.tell(worldOf(t, text, nil, at(0), verdicts...), at(0))), nil)
	return s
}

func TestAddressChanges(t *testing.T) {
	s := newSaga(t, shared, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	check(t, "nothing", toldTexts(s.health(1, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")), nil)

	// One origin in two pools is one event, and the cause of all that follows from it.
	check(t, "one down", toldTexts(s.health(2, "192.0.2.1-", "192.0.2.2+", "192.0.2.9+")), []string{
		"address_down: 192.0.2.1 (pools a, b) is down; refused <-  (one two)",
		"set_unavailable: one, policy Global (IPv4): the primary set is not available, 0 of 1 addresses are, 1 needed; 192.0.2.1: refused <- address/192.0.2.1/web (one)",
		"switch: one, policy Global (IPv4): primary -> backup, failover; 192.0.2.1: refused <- address/192.0.2.1/web (one)",
	})
	// What was down before is not what has brought the set down.
	check(t, "the other down", toldTexts(s.health(3, "192.0.2.1-", "192.0.2.2-", "192.0.2.9+")), []string{
		"address_down: 192.0.2.2 (pool b) is down; refused <-  (two)",
		"set_unavailable: two, policy Global (IPv4): the primary set is not available, 0 of 2 addresses are, 1 needed; 192.0.2.1: refused; 192.0.2.2: refused <- address/192.0.2.2/web (two)",
		"switch: two, policy Global (IPv4): primary -> backup, failover; 192.0.2.1: refused; 192.0.2.2: refused <- address/192.0.2.2/web (two)",
	})
	check(t, "all down", toldTexts(s.health(4, "192.0.2.1-", "192.0.2.2-", "192.0.2.9-")), []string{
		"address_down: 192.0.2.9 (pool spare) is down; refused <-  (one two)",
		"set_unavailable: one, policy Global (IPv4): the backup set is not available, 0 of 1 addresses are, 1 needed; 192.0.2.9: refused <- address/192.0.2.9/web (one)",
		"set_unavailable: two, policy Global (IPv4): the backup set is not available, 0 of 1 addresses are, 1 needed; 192.0.2.9: refused <- address/192.0.2.9/web (two)",
		"switch: one, policy Global (IPv4): backup -> primary, fail open; 192.0.2.9: refused <- address/192.0.2.9/web (one)",
		"switch: two, policy Global (IPv4): backup -> primary, fail open; 192.0.2.9: refused <- address/192.0.2.9/web (two)",
		"fail_open: one, policy Global (IPv4): no address is available, so all of the primary set are served (fail open); 192.0.2.1: refused <- address/192.0.2.9/web (one)",
		"fail_open: two, policy Global (IPv4): no address is available, so all of the primary set are served (fail open); 192.0.2.1: refused; 192.0.2.2: refused <- address/192.0.2.9/web (two)",
	})
	check(t, "told", slices.Sorted(maps.Keys(s.told)), []string{
		"address/192.0.2.1/web", "address/192.0.2.2/web", "address/192.0.2.9/web", "open/one/Global/ipv4", "open/two/Global/ipv4",
		"set/one/Global/ipv4/backup", "set/one/Global/ipv4/primary", "set/two/Global/ipv4/backup", "set/two/Global/ipv4/primary",
	})
	check(t, "back", toldTexts(s.health(64, "192.0.2.1+", "192.0.2.2-", "192.0.2.9-")), []string{
		"address_up: 192.0.2.1 (pools a, b) is up again; was down for 1m2s: refused <-  (one two)",
		"set_available: one, policy Global (IPv4): the primary set is available, 1 of 1 addresses are, 1 needed;  <- address/192.0.2.1/web (one)",
		"set_available: two, policy Global (IPv4): the primary set is available, 1 of 2 addresses are, 1 needed;  <- address/192.0.2.1/web (two)",
		"fail_open_end: one, policy Global (IPv4): what is available is served again, from the primary set; served all of a set that was not available for 1m0s <- address/192.0.2.1/web (one)",
		"fail_open_end: two, policy Global (IPv4): what is available is served again, from the primary set; served all of a set that was not available for 1m0s <- address/192.0.2.1/web (two)",
	})
	s.health(65, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	check(t, "told in the end", len(s.told), 0)
}

// TestFirstVerdicts: an address that is down when it is first probed is told, one that is up is not.
func TestFirstVerdicts(t *testing.T) {
	s := newSaga(t, shared, "192.0.2.1?", "192.0.2.2?", "192.0.2.9?")
	check(t, "first verdicts", toldTexts(s.health(1, "192.0.2.1+", "192.0.2.2-", "192.0.2.9+")), []string{
		"address_down: 192.0.2.2 (pool b) is down; refused <-  (two)",
	})
}

// TestRestartTellsNothingAgain: what was told and is so is not told; what has begun or ended meanwhile is.
func TestRestartTellsNothingAgain(t *testing.T) {
	s := newSaga(t, shared, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	s.health(1, "192.0.2.1-", "192.0.2.2-", "192.0.2.9+")
	before := s.w
	s.w = nil
	check(t, "as it was", toldTexts(s.tell(worldOf(t, shared, before.memory(), at(9), "192.0.2.1-", "192.0.2.2-", "192.0.2.9+"), at(9))), nil)
	s.w = nil
	check(t, "others", toldTexts(s.tell(worldOf(t, shared, before.memory(), at(9), "192.0.2.1-", "192.0.2.2+", "192.0.2.9-"), at(9))), []string{
		"address_up: 192.0.2.2 (pool b) is up again; was down for 8s: refused <-  (two)",
		"address_down: 192.0.2.9 (pool spare) is down; refused <-  (one two)",
		"set_unavailable: one, policy Global (IPv4): the backup set is not available, 0 of 1 addresses are, 1 needed; 192.0.2.9: refused <- address/192.0.2.9/web (one)",
		"set_available: two, policy Global (IPv4): the primary set is available, 1 of 2 addresses are, 1 needed;  <- address/192.0.2.2/web (two)",
		"set_unavailable: two, policy Global (IPv4): the backup set is not available, 0 of 1 addresses are, 1 needed; 192.0.2.9: refused <- address/192.0.2.9/web (two)",
		"fail_open: one, policy Global (IPv4): no address is available, so all of the primary set are served (fail open); 192.0.2.1: refused <- address/192.0.2.9/web (one)",
	})
}

// TestReloadChanges: what a new configuration has no longer is over; what it brings that is down is told; what stays is not.
func TestReloadChanges(t *testing.T) {
	s := newSaga(t, shared, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	s.health(1, "192.0.2.1-", "192.0.2.2-", "192.0.2.9+")
	text := strings.Replace(shared, `["192.0.2.1", "192.0.2.2"]`, `["192.0.2.3", "192.0.2.4"]`, 1)
	next := worldOf(t, text, s.w.memory(), at(5), "192.0.2.1-", "192.0.2.3-", "192.0.2.4+", "192.0.2.9+")
	check(t, "reload", toldTexts(s.tell(next, at(5))), []string{
		"address_down: 192.0.2.3 (pool b) is down; refused <-  (two)",
		"set_available: two, policy Global (IPv4): the primary set is available, 1 of 2 addresses are, 1 needed;  <- address/192.0.2.1/web (two)",
		"switch: two, policy Global (IPv4): backup -> primary, normal;  <- address/192.0.2.1/web (two)",
		"address_up: no longer in the configuration: 192.0.2.2 (pool b) is down; what it is about has been taken out of the configuration <-  ()",
	})
	// 192.0.2.1 is in one pool now: that is no news.
	check(t, "told", slices.Sorted(maps.Keys(s.told)), []string{"address/192.0.2.1/web", "address/192.0.2.3/web", "set/one/Global/ipv4/primary"})
}

// TestOverrideChanges: what an operator has brought about has the override for its cause.
func TestOverrideChanges(t *testing.T) {
	s := newSaga(t, shared, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	o := &override{id: "o7", target: admin.OverrideTarget{Address: "192.0.2.1"}, kind: policy.OverrideDown, author: "alice", reason: "new kernel", since: at(1)}
	with := *s.w
	with.overrides = newOverrides([]*override{o}, 7)
	check(t, "override", toldTexts(s.tell(with.redecide(with.slots, with.status, nil, nil, at(1)), at(1))), []string{
		"set_unavailable: one, policy Global (IPv4): the primary set is not available, 0 of 1 addresses are, 1 needed; 192.0.2.1: down by override (alice: new kernel) <- override/o7 (one)",
		"switch: one, policy Global (IPv4): primary -> backup, failover; 192.0.2.1: down by override (alice: new kernel) <- override/o7 (one)",
	})
	without := *s.w
	without.overrides = nil
	check(t, "cleared", toldTexts(s.tell(without.redecide(without.slots, without.status, nil, nil, at(2)), at(2))), []string{
		"set_available: one, policy Global (IPv4): the primary set is available, 1 of 1 addresses are, 1 needed;  <- override/o7 (one)",
		"switch: one, policy Global (IPv4): backup -> primary, normal;  <- override/o7 (one)",
	})
}

// withStatus is the world with another status, and nothing decided anew.
func (w *world) withStatus(status *healthcheck.Status) *world {
	next := *w
	next.status = status
	return &next
}

// TestFailbackThatWaited: policies that return to their sets after a delay have the address that came back for their cause.
func TestFailbackThatWaited(t *testing.T) {
	text := strings.ReplaceAll(shared, "sources = [\"global\"]", "sources = [\"global\"]\nfailback_delay = \"30s\"")
	s := newSaga(t, text, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	s.health(1, "192.0.2.1-", "192.0.2.2-", "192.0.2.9+")
	up := func(recovered int) healthcheck.TargetStatus {
		return healthcheck.TargetStatus{Track: healthcheck.Track{Verdict: healthcheck.Up}, Recovered: at(recovered)}
	}
	status := healthcheck.NewStatus(map[string]healthcheck.TargetStatus{"192.0.2.1/web": up(100), "192.0.2.2/web": up(90), "192.0.2.9/web": up(0)})
	check(t, "back", len(s.tell(s.w.next(status, nil, at(100)), at(100))), 4)
	check(t, "returned", toldTexts(s.tell(s.w.next(status, nil, at(130)), at(130))), []string{
		"switch: one, policy Global (IPv4): backup -> primary, normal;  <- address/192.0.2.1/web (one)",
		"switch: two, policy Global (IPv4): backup -> primary, normal;  <- address/192.0.2.1/web (two)",
	})
}

func TestBlindChanges(t *testing.T) {
	s := newSaga(t, shared, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	blind := statusOf("192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	blind.Blind = []healthcheck.Blindness{{Family: "ipv4", Since: at(5), Reason: "9 of 9 targets fail"}}
	check(t, "blind", toldTexts(s.tell(s.w.withStatus(blind), at(5))), []string{
		"prober_blind: this prober is blind for IPv4: no verdict turns down; 9 of 9 targets fail <-  ()",
	})
	check(t, "still", toldTexts(s.tell(s.w.withStatus(blind), at(6))), nil)
	check(t, "sees", toldTexts(s.tell(s.w.withStatus(statusOf("192.0.2.1+", "192.0.2.2+", "192.0.2.9+")), at(65))), []string{
		"prober_sees: this prober sees again for IPv4: verdicts turn as usual; was blind for 1m0s: 9 of 9 targets fail <-  ()",
	})
}

// TestTakenBack: a turn that blindness has led to is taken back, and says so.
func TestTakenBack(t *testing.T) {
	s := newSaga(t, shared, "192.0.2.1+", "192.0.2.2+", "192.0.2.9+")
	s.health(1, "192.0.2.1+", "192.0.2.2-", "192.0.2.9+")
	status := healthcheck.NewStatus(map[string]healthcheck.TargetStatus{
		"192.0.2.1/web": {Track: healthcheck.Track{Verdict: healthcheck.Up}}, "192.0.2.9/web": {Track: healthcheck.Track{Verdict: healthcheck.Up}},
		"192.0.2.2/web": {Track: healthcheck.Track{Verdict: healthcheck.Up, Bad: 3}},
	})
	check(t, "back", toldTexts(s.tell(s.w.next(status, nil, at(2)), at(2))), []string{
		"address_up: 192.0.2.2 (pool b) is up again; its turn down is taken back: this prober was blind <-  (two)",
	})
}

func TestCertificateChanges(t *testing.T) {
	expires := at(86400)
	status := func(warnings ...string) *healthcheck.Status {
		targets := map[string]healthcheck.TargetStatus{}
		for i, id := range []string{"192.0.2.1/web", "192.0.2.2/web"} {
			one := healthcheck.TargetStatus{Track: healthcheck.Track{Verdict: healthcheck.Up}}
			if warnings[i] != "unknown" {
				one.Report = healthcheck.Report{CertificateExpires: expires, Warning: warnings[i]}
			}
			targets[id] = one
		}
		return healthcheck.NewStatus(targets)
	}
	s := &saga{t: t}
	w := worldOf(t, shared, nil, at(0))
	check(t, "unknown", toldTexts(s.tell(w.withStatus(status("unknown", "unknown")), at(0))), nil)
	day := zonedClock(expires)
	cause := "certificate/" + expires.UTC().Format(time.RFC3339)
	check(t, "both", toldTexts(s.tell(s.w.withStatus(status("1 day left", "1 day left")), at(1))), []string{
		"certificate_expiring: the certificate of 192.0.2.1 (pools a, b), health check web, expires " + day + "; 1 day left <- " + cause + " (one two)",
		"certificate_expiring: the certificate of 192.0.2.2 (pool b), health check web, expires " + day + "; 1 day left <- " + cause + " (two)",
	})
	// After a restart nothing is known until the next probe has seen it.
	s.w = nil
	check(t, "restart", toldTexts(s.tell(w.withStatus(status("unknown", "unknown")), at(2))), nil)
	check(t, "the same", toldTexts(s.tell(w.withStatus(status("1 day left", "unknown")), at(3))), nil)
	check(t, "renewed", toldTexts(s.tell(w.withStatus(status("1 day left", "")), at(4))), []string{
		"certificate_renewed: the certificate of 192.0.2.2 (pool b), health check web, is good until " + day + ";  <- " + cause + " (two)",
	})
}

func TestDatabaseChanges(t *testing.T) {
	w := worldOf(t, shared, nil, at(0))
	limit := w.config.File.Geo.MaxAge
	with := func(d database) *world {
		p := *w.plan
		d.Database, d.path = &geo.Database{Type: "City", Built: at(0)}, "city.mmdb"
		p.databases = []*database{&d}
		next := *w
		next.plan = &p
		return &next
	}
	s := &saga{t: t}
	check(t, "good", toldTexts(s.tell(with(database{}), at(0))), nil)
	check(t, "refused", toldTexts(s.tell(with(database{refused: fmt.Errorf("it is cut"), at: at(1)}), at(1))), []string{
		"geo_database_stale: the file of geo database city.mmdb is refused: City built 2026-01-01 serves on; it is cut <-  ()",
	})
	check(t, "good again", toldTexts(s.tell(with(database{}), at(2))), []string{
		"geo_database_fresh: geo database city.mmdb is good: built 2026-01-01;  <-  ()",
	})
	late := at(0).Add(limit)
	check(t, "old", toldTexts(s.tell(s.w, late)), []string{
		`geo_database_stale: geo database city.mmdb is too old; geo database "city.mmdb" was built 2026-01-01, 60 days ago: want a newer one, at most 60 days old (max_age) <-  ()`,
	})
	check(t, "still old", toldTexts(s.tell(s.w, late.Add(time.Hour))), nil)
}

// TestKinds: every kind that begins something has an end, and each one that alert groups are told of is one of theirs.
func TestKinds(t *testing.T) {
	told := 0
	for _, kind := range admin.EventKind("").Values() {
		if begin, isEnd, ok := isAlert(kind); ok {
			told++
			if isEnd && endOf(begin) != kind {
				t.Errorf("%s ends %s", kind, begin)
			}
		}
	}
	check(t, "kinds for alert groups", told, 2*len(ends())+1)
}

// TestCommonCause: sets that several addresses have brought down have few causes: those that most of them share.
func TestCommonCause(t *testing.T) {
	var b strings.Builder
	b.WriteString(strings.Split(shared, "[[pool]]")[0])
	for i := range 40 {
		fmt.Fprintf(&b, "[[pool]]\nname = \"p%d\"\ntype = \"ipv4\"\nhealth_check = \"web\"\naddresses = [\"192.0.2.%d\", \"192.0.2.200\"]\n", i, i+1)
		fmt.Fprintf(&b, "[[instance]]\nname = \"i%d\"\naccess_domain = \"i%d.gtm.test\"\n[[instance.policy]]\nname = \"Global\"\nsources = [\"global\"]\nprimary = { pools = [\"p%d\"] }\n", i, i, i)
	}
	verdicts := func(sign string) (all []string) {
		for i := range 40 {
			all = append(all, fmt.Sprintf("192.0.2.%d%s", i+1, sign))
		}
		return append(all, "192.0.2.200"+sign)
	}
	s := newSaga(t, b.String(), verdicts("+")...)
	causes := map[string]int{}
	for _, c := range s.health(1, verdicts("-")...) {
		if c.Kind == admin.EventSetUnavailable || c.Kind == admin.EventFailOpen {
			causes[c.cause]++
		}
	}
	check(t, "causes", causes, map[string]int{"address/192.0.2.200/web": 80})
}

// TestStormOfChanges turns 10,000 addresses at once, in pools of ten.
func TestStormOfChanges(t *testing.T) {
	const pools = 1000
	var b strings.Builder
	b.WriteString(strings.Split(shared, "[[pool]]")[0])
	var up, down []string
	for i := range pools {
		fmt.Fprintf(&b, "[[pool]]\nname = \"p%d\"\ntype = \"ipv4\"\nhealth_check = \"web\"\naddresses = [", i)
		for j := range 10 {
			address := fmt.Sprintf("10.%d.%d.%d", i>>8, i&255, j+1)
			fmt.Fprintf(&b, "%q, ", address)
			up, down = append(up, address+"+"), append(down, address+"-")
		}
		fmt.Fprintf(&b, "]\n[[instance]]\nname = \"i%d\"\naccess_domain = \"i%d.gtm.test\"\n[[instance.policy]]\nname = \"Global\"\nsources = [\"global\"]\nprimary = { pools = [\"p%d\"] }\n", i, i, i)
	}
	s := newSaga(t, b.String(), up...)
	next := s.w.next(statusOf(down...), nil, at(1))
	begin := time.Now()
	found := s.tell(next, at(1))
	took := time.Since(begin)
	counts := map[admin.EventKind]int{}
	for _, c := range found {
		counts[c.Kind]++
	}
	check(t, "events", counts, map[admin.EventKind]int{
		admin.EventAddressDown: 10 * pools, admin.EventSetUnavailable: pools, admin.EventFailOpen: pools,
	})
	t.Logf("10,000 addresses took %v", took)
	if took > 5*time.Second {
		t.Errorf("10,000 addresses took %v", took)
	}

	// One that turns costs what it changes, and a comparison for each of the rest.
	one := slices.Clone(down)
	one[4711] = up[4711]
	next = s.w.next(statusOf(one...), nil, at(2))
	allocations := testing.AllocsPerRun(1, func() { found = changesSince(s.told, s.w, next, nil, at(2)) })
	kinds := []admin.EventKind{}
	for _, c := range found {
		kinds = append(kinds, c.Kind)
	}
	slices.SortFunc(kinds, cmp.Compare)
	check(t, "one", kinds, []admin.EventKind{admin.EventAddressUp, admin.EventFailOpenEnd, admin.EventSetAvailable})
	if allocations > 200 {
		t.Errorf("one of them took %v allocations", allocations)
	}
}
