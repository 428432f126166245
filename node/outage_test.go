package node

import (
	"encoding/json"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"gtmd/admin"
)

// hospital is a receiver of webhooks that can be dead. It is a real one, outside the virtual time.
type hospital struct {
	*httptest.Server
	mu       sync.Mutex // guards all below
	isDead   bool
	refused  int
	messages []ward
}

// ward is a message, as far as the test looks at it.
type ward struct {
	ID      string
	Title   string
	Text    string
	Omitted int
	Events  []struct {
		Kind, Key, Title string
		Resolved         bool
	}
}

func (h *hospital) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isDead {
		h.refused++
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var body struct{ Data ward }
	if err := json.NewDecoder(r.Body).Decode(&body); err != nil {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	h.messages = append(h.messages, body.Data)
}

func (h *hospital) die(is bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.isDead = is
}

// TestReceiverDeadForAnHour: origins die and come back while nobody can be told, and gtmd is restarted and replaced. In the end
// everything is told, once, and in an order that makes sense; what was over before it could be told is told with its end.
func TestReceiverDeadForAnHour(t *testing.T) {
	h := &hospital{}
	h.Server = httptest.NewServer(h)
	defer h.Close()
	var text strings.Builder
	text.WriteString("[[zone]]\nname = \"gtm.test\"\nnameservers = [\"ns.example.net\"]\ncontact = \"hostmaster@gtm.test\"\n" +
		"[blind]\nshare = 0\n[[health_check]]\nname = \"web\"\nprotocol = \"http\"\ninterval = \"10s\"\n" +
		"[[alert_group]]\nname = \"ops\"\n[[alert_group.method]]\nkind = \"webhook\"\nurl = \"" + h.URL + "\"\n")
	for i := range 3 {
		fmt.Fprintf(&text, "[[pool]]\nname = \"a%d\"\ntype = \"ipv4\"\nhealth_check = \"web\"\naddresses = [\"192.0.2.%d\"]\n"+
			"[[pool]]\nname = \"b%d\"\ntype = \"ipv4\"\nhealth_check = \"web\"\naddresses = [\"198.51.100.%d\"]\n"+
			"[[instance]]\nname = \"i%d\"\naccess_domain = \"i%d.gtm.test\"\n[[instance.policy]]\nname = \"Global\"\nsources = [\"global\"]\n"+
			"primary = { pools = [\"a%d\"] }\nbackup = { pools = [\"b%d\"] }\n", i, i, i, i, i, i, i, i)
	}
	synctest.Test(t, func(t *testing.T) {
		s := newStage(t)
		s.isTelling = true
		begun := map[string]int{} // addresses
		set := func(address string, isWell bool) {
			if !isWell {
				begun[address]++
			}
			s.set(address, isWell)
		}
		n := s.start(text.String(), nil, false)
		time.Sleep(time.Minute)

		h.die(true)
		set("192.0.2.0", false)
		time.Sleep(5 * time.Minute)
		for range 3 { // flaps
			set("192.0.2.1", false)
			time.Sleep(3 * time.Minute)
			set("192.0.2.1", true)
			time.Sleep(3 * time.Minute)
		}
		n = s.start(text.String(), s.stop(n, false), false)
		set("192.0.2.0", true)
		set("192.0.2.2", false)
		set("198.51.100.2", false) // both sets of a policy
		time.Sleep(15 * time.Minute)
		n = s.start(text.String(), s.stop(n, true), true)
		set("198.51.100.2", true)
		time.Sleep(10 * time.Minute)
		set("192.0.2.0", false)
		time.Sleep(12 * time.Minute)
		if len(h.messages) > 0 || h.refused == 0 {
			t.Fatalf("%d messages of a dead receiver, %d refused", len(h.messages), h.refused)
		}

		h.die(false)
		time.Sleep(2 * time.Hour)
		check(t, "firing", len(n.Alerts().Firing), 4) // two addresses and their sets
		told(t, h, begun, "192.0.2.0 192.0.2.2")
		set("192.0.2.0", true)
		set("192.0.2.2", true)
		time.Sleep(2 * time.Hour)
		check(t, "firing", len(n.Alerts().Firing), 0)
		told(t, h, begun, "")
		s.end(n)
	})
}

// told holds what a receiver was told of addresses against how often each went down, and which are down.
func told(t *testing.T, h *hospital, begun map[string]int, down string) {
	t.Helper()
	h.mu.Lock()
	defer h.mu.Unlock()
	ids, going, begins := map[string]bool{}, map[string]bool{}, map[string]int{}
	for _, m := range h.messages {
		if ids[m.ID] || m.Omitted > 0 {
			t.Errorf("message %q came twice, or not all of it: %d omitted", m.Title, m.Omitted)
		}
		ids[m.ID] = true
		for _, e := range m.Events {
			if e.Kind == "switch" {
				continue
			}
			if e.Resolved == !going[e.Kind+e.Key] {
				t.Errorf("%q is told to one who knows it", e.Title)
			}
			going[e.Kind+e.Key] = !e.Resolved
			if e.Kind == "address_down" && !e.Resolved {
				address, _, _ := strings.Cut(e.Title, " ")
				begins[address]++
			}
		}
	}
	for _, m := range h.messages {
		for _, found := range cameBack.FindAllStringSubmatch(m.Text, -1) {
			times := 1
			if found[2] != "once" {
				fmt.Sscan(found[2], &times)
			}
			begins[found[1]] += times
		}
	}
	for address, n := range begun {
		if begins[address] != n && down == "" {
			t.Errorf("%s: was told to be down %d times, want %d", address, begins[address], n)
		}
		isGoing := false
		for key, is := range going {
			isGoing = isGoing || is && strings.Contains(key, address)
		}
		if want := strings.Contains(down, address); isGoing != want {
			t.Errorf("%s: is known to be down: %t, want %t", address, isGoing, want)
		}
	}
	if t.Failed() {
		for _, m := range h.messages {
			t.Logf("%s\n%s", m.Title, m.Text)
		}
	}
}

// cameBack finds addresses in texts that were over and came back.
var cameBack = regexp.MustCompile(`(?m)^[-0-9: ]+  (\S+) \(pool .*came back (once|\d+ times) meanwhile`)

// TestAllDown: all addresses of many instances go down at once, and come back. It is a handful of messages, which tell of
// every address once; a prober that takes the failures for its own has one to tell.
func TestAllDown(t *testing.T) {
	instances := 200
	if os.Getenv("GTMD_LONG") != "" {
		instances = 1000 // of 10,000 addresses
	}
	begun := fmt.Sprintf("%d address_down, %d fail_open, %d set_unavailable", 10*instances, instances, 2*instances)
	over := fmt.Sprintf("%d address_up, %d fail_open_end, %d set_available", 10*instances, instances, 2*instances)
	for _, row := range []struct {
		name, blind string
		isBlind     bool
	}{{"down", "[blind]\nshare = 0\n", false}, {"blind", "", true}} {
		t.Run(row.name, func(t *testing.T) {
			h := &hospital{}
			h.Server = httptest.NewServer(h)
			defer h.Close()
			var text strings.Builder
			text.WriteString("[[zone]]\nname = \"gtm.test\"\nnameservers = [\"ns.example.net\"]\ncontact = \"hostmaster@gtm.test\"\n" + row.blind +
				"[[health_check]]\nname = \"web\"\nprotocol = \"http\"\ninterval = \"1m\"\n" +
				"[[alert_group]]\nname = \"ops\"\n[[alert_group.method]]\nkind = \"webhook\"\nurl = \"" + h.URL + "\"\n")
			var all []string
			for i := range instances {
				for j, role := range []string{"a", "b"} {
					fmt.Fprintf(&text, "[[pool]]\nname = \"%s%d\"\ntype = \"ipv4\"\nhealth_check = \"web\"\naddresses = [", role, i)
					for k := range 5 {
						address := fmt.Sprintf("10.%d.%d.%d", 2*k+j, i/250, i%250)
						all = append(all, address)
						fmt.Fprintf(&text, "%q,", address)
					}
					text.WriteString("]\n")
				}
				fmt.Fprintf(&text, "[[instance]]\nname = \"i%d\"\naccess_domain = \"i%d.gtm.test\"\n[[instance.policy]]\nname = \"Global\"\nsources = [\"global\"]\n"+
					"primary = { pools = [\"a%d\"] }\nbackup = { pools = [\"b%d\"] }\n", i, i, i, i)
			}
			synctest.Test(t, func(t *testing.T) {
				s := newStage(t)
				s.isTelling = true
				n := s.start(text.String(), nil, false)
				time.Sleep(70 * time.Second)
				for _, address := range all {
					s.set(address, false)
				}
				time.Sleep(5 * time.Minute)
				if row.isBlind {
					check(t, "told", h.titles(), "[gtmd] ALERT: this prober is blind for IPv4: no verdict turns down")
				} else {
					check(t, "told", h.tally(), begun+"; ")
				}
				for _, address := range all {
					s.set(address, true)
				}
				time.Sleep(7 * time.Minute)
				check(t, "firing", len(n.Alerts().Firing), 0)
				if row.isBlind {
					check(t, "told", h.titles(), "[gtmd] ALERT: this prober is blind for IPv4: no verdict turns down\n"+
						"[gtmd] RESOLVED: this prober sees again for IPv4: verdicts turn as usual")
				} else {
					check(t, "told", h.tally(), begun+"; "+over)
				}
				if count := strings.Count(h.titles(), "\n") + 1; count > 6 {
					t.Errorf("%d messages, want at most 6:\n%s", count, h.titles())
				}
				s.end(n)
			})
		})
	}
}

// titles are those of all messages, in lines.
func (h *hospital) titles() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []string
	for _, m := range h.messages {
		all = append(all, m.Title)
	}
	return strings.Join(all, "\n")
}

// tally counts the events of all messages, but for switches, of which there may be any number: those that begin, and those that end. Of
// storms the titles count.
func (h *hospital) tally() string {
	counts := [2]map[string]int{{}, {}}
	count := func(kind string, isOver bool, n int) {
		if isOver = isOver || slices.Contains([]string{"address_up", "set_available", "fail_open_end"}, kind); isOver {
			counts[1][kind] += n
		} else if kind != "switch" {
			counts[0][kind] += n
		}
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, m := range h.messages {
		if _, tally, isStorm := strings.Cut(m.Title, " events: "); isStorm {
			for _, part := range strings.Split(tally, ", ") {
				number, kind, _ := strings.Cut(part, " ")
				n, _ := strconv.Atoi(strings.ReplaceAll(number, ",", ""))
				count(kind, false, n)
			}
			continue
		}
		for _, e := range m.Events {
			kind := admin.EventKind(e.Kind)
			if e.Resolved {
				kind = endOf(kind)
			}
			count(string(kind), e.Resolved, 1)
		}
	}
	var all []string
	for _, of := range counts {
		var parts []string
		for _, kind := range slices.Sorted(maps.Keys(of)) {
			parts = append(parts, fmt.Sprint(of[kind], " ", kind))
		}
		all = append(all, strings.Join(parts, ", "))
	}
	return strings.Join(all, "; ")
}
