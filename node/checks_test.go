package node_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// TestSeveralChecks: an address is up when its health checks are, as judge says.
func TestSeveralChecks(t *testing.T) {
	t.Parallel()
	for _, row := range []struct{ judge, want string }{{"all", "down"}, {"any", "up"}, {"50%", "up"}, {"51%", "down"}} {
		t.Run(row.judge, func(t *testing.T) {
			t.Parallel()
			s := newSite(t, 2)
			// The second check wants what the origins do not have.
			two := header + `
[[health_check]]
name     = "deep"
protocol = "http"
port     = $PORT
expect_body = "deep"
interval = "200ms"
timeout  = "200ms"
fall     = 1
`
			text := strings.Replace(pools, `health_check = "web"`, fmt.Sprintf("health_check = [\"web\", \"deep\"]\njudge = %q", row.judge), 1)
			n := s.start(two, text, instance)
			eventually(t, row.want, func() string { return standing(n, 0) })
			address := n.Status().Pools[0].Addresses[0]
			equal(t, "judge", n.Status().Pools[0].Judge, row.judge)
			equal(t, "checks", len(address.Checks), 2)
			for i, want := range []string{"web up", "deep down"} {
				equal(t, "check", address.Checks[i].HealthCheck+" "+address.Checks[i].Verdict, want)
			}
			contains(t, fmt.Errorf("%s", address.Reason), `body lacks "deep" in its 2 octets`)
			want := s.origins[0].String()
			if row.want == "down" {
				want = s.origins[1].String()
			}
			equal(t, "answer", answer(n, dns.TypeA, ""), want)
		})
	}
}

// TestAddressCheck: an address may have a health check of its own.
func TestAddressCheck(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	own := header + `
[[health_check]]
name     = "own"
protocol = "http"
port     = $PORT
expect_status = "404"
interval = "200ms"
timeout  = "200ms"
fall     = 1
`
	text := strings.Replace(pools, `addresses = ["$0"]`, `addresses = ["$1", { address = "$0", health_check = "own" }]`, 1)
	n := s.start(own, text, instance)
	eventually(t, s.origins[1].String(), func() string { return answer(n, dns.TypeA, "") })
	for i, want := range []string{"up", "down"} {
		equal(t, "standing", n.Status().Pools[0].Addresses[i].Standing, want)
	}
}

// TestLowestTTL: the TTL falls while a streak of failures is open, and is whole again when all is well.
func TestLowestTTL(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	text := strings.Replace(instance, "ttl = 5", "ttl = 60\nttl_min = 1", 1)
	patient := strings.Replace(header, "fall     = 2", "fall     = 100", 1)
	n := s.start(patient, pools, text)
	ttl := func() string {
		reply, err := ask(n, name, dns.TypeA, "")
		if err != nil || len(reply.Answer) != 1 {
			return fmt.Sprint(err, reply)
		}
		return fmt.Sprint(reply.Answer[0].Header().Ttl < 60)
	}
	eventually(t, "false", ttl)
	s.origins[0].stop()
	eventually(t, "true", ttl)
	s.origins[0].start()
	eventually(t, "false", ttl)
	equal(t, "never switched", lastSwitch(n), "none")
}

// TestSlowStartWeight: an address that comes back gets a small share at first, and the whole in the end.
func TestSlowStartWeight(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	text := strings.Replace(pools, `addresses = ["$0"]`, "addresses = [\"$0\", \"$1\"]\nbalance = \"weight\"\nslow_start = \"3s\"", 1)
	n := s.start(header, text, strings.Replace(instance, `{ pools = ["test1"] }`, `{ pools = ["test1"], balance = "weight" }`, 1))
	equal(t, "share of one that was never down", n.Status().Pools[0].Addresses[0].Share, 100)
	s.origins[0].stop()
	eventually(t, "down", func() string { return standing(n, 0) })
	s.origins[0].start()
	eventually(t, "true", func() string {
		a := n.Status().Pools[0].Addresses[0]
		return fmt.Sprint(a.Standing == "up" && a.Share < 50)
	})
	first := 0
	for range 200 {
		if answer(n, dns.TypeA, "") == s.origins[0].String() {
			first++
		}
	}
	if first > 60 { // of 200: half of them without a slow start, some 10 with the first step
		t.Errorf("an address that has just come back got %d of 200 answers", first)
	}
	eventually(t, "100", func() string { return fmt.Sprint(n.Status().Pools[0].Addresses[0].Share) })
}
