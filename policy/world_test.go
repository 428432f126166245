package policy_test

import (
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"gtmd/policy"
)

// epoch is when the tests' virtual time starts.
var epoch = time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)

// world is pools with the health of their addresses.
type world struct {
	pools  map[string]*policy.Pool
	health map[string]policy.Health // by target
	count  int                      // addresses made so far
}

func newWorld() *world {
	return &world{pools: map[string]*policy.Pool{}, health: map[string]policy.Health{}}
}

// pool adds a pool. Each letter of the text is an address in some state: + up, - down, ? no result yet, . not probed,
// o always online, x always offline. A number behind the letter is the weight of the address; otherwise it is 1. The
// remark of each address is the first letter of the pool's name and a number: a1, a2, and so on; from is that of the first.
func (w *world) pool(name string, kind policy.PoolType, balance policy.Balance, text string, from int) {
	o := policy.PoolOptions{Name: name, Type: kind, Balance: balance}
	states := map[string]byte{} // by address
	for text = strings.ReplaceAll(text, " ", ""); text != ""; {
		a := policy.AddressOptions{Mode: policy.ModeIntelligent, Weight: 1, Remark: fmt.Sprint(name[:1], from+len(o.Addresses))}
		state := text[0]
		if rest := strings.TrimLeft(text[1:], "0123456789"); len(rest) < len(text)-1 {
			fmt.Sscan(text[1:len(text)-len(rest)], &a.Weight)
			text = rest
		} else {
			text = text[1:]
		}
		switch w.count++; kind {
		case policy.TypeIPv4:
			a.Address = netip.AddrFrom4([4]byte{10, 0, byte(w.count >> 8), byte(w.count)}).String()
		case policy.TypeIPv6:
			a.Address = fmt.Sprintf("2001:db8::%x", w.count)
		default:
			a.Address = fmt.Sprintf("n%d.example.", w.count)
		}
		switch state {
		case 'o':
			a.Mode = policy.ModeOnline
		case 'x':
			a.Mode = policy.ModeOffline
		}
		states[a.Address] = state
		o.Addresses = append(o.Addresses, a)
	}
	w.pools[name] = policy.NewPool(o, func(a *policy.AddressOptions) [][]string {
		target := "web " + a.Address
		switch states[a.Address] {
		case '.':
			return nil
		case '+':
			w.health[target] = policy.Up
		case '-':
			w.health[target] = policy.Down
		default:
			w.health[target] = policy.Unknown
		}
		return [][]string{{target}}
	})
}

// set adds the pools of an IPv4 set, such as "a:+-/+?": pools "a" and "a/2" of two addresses each. The threshold may
// stand before it: "50% a:+-".
func (w *world) set(text string) policy.SetOptions {
	o := policy.SetOptions{Balance: policy.BalanceAll}
	if min, rest, isGiven := strings.Cut(text, " "); isGiven {
		if err := o.MinAvailable.UnmarshalText([]byte(min)); err != nil {
			panic(err)
		}
		text = rest
	}
	name, pools, _ := strings.Cut(text, ":")
	for i, states := range strings.Split(pools, "/") {
		pool := name
		if i > 0 {
			pool = fmt.Sprintf("%s/%d", name, i+1)
		}
		from := 1
		for _, ref := range o.Pools {
			from += len(w.pools[ref.Pool].Addresses)
		}
		if w.pools[pool] == nil {
			w.pool(pool, policy.TypeIPv4, policy.BalanceAll, states, from)
		}
		o.Pools = append(o.Pools, policy.PoolRefOptions{Pool: pool, Weight: 1})
	}
	return o
}

// policy compiles a policy of IPv4 sets for IPv4 questions.
func (w *world) policy(o policy.PolicyOptions, sets ...string) *policy.Policy {
	o.Name = "Global"
	for i, text := range sets {
		if i == 0 {
			o.Primary = w.set(text)
		} else {
			o.Backup = append(o.Backup, w.set(text))
		}
	}
	in := policy.NewInstance(policy.InstanceOptions{Policies: []policy.PolicyOptions{o}}, w.pools)
	return in.Policies[0].Decided[policy.IPv4]
}

// of is the health that Decide asks for. It panics when asked for an address that is not probed.
func (w *world) of(a *policy.Address) policy.Health {
	return a.Health(func(target string) policy.Health {
		h, isProbed := w.health[target]
		if !isProbed {
			panic("health of " + target + " asked, which is not probed")
		}
		return h
	})
}

// show is a decision as one line: the set in force, why, what it serves, and after how long it changes by itself.
func show(d *policy.Decision, now time.Time) string {
	line := "nothing, " + string(d.Why)
	if set := d.InForce(); set != nil {
		line = set.Role + ", " + string(d.Why) + ":"
		for _, ref := range d.Serve {
			line += " " + set.Members[ref.Member].Pool.Addresses[ref.Address].Remark
		}
	}
	if !d.Until.IsZero() {
		line += " until +" + d.Until.Sub(now).String()
	}
	return line
}

// showAnswer is an answer as one line, a group between two bars: its weight, its balance, and its records with their
// weights where these count.
func showAnswer(a policy.Answer) string {
	var groups []string
	for _, g := range a.Groups {
		line := fmt.Sprint(g.Weight, " ", g.Balance)
		if g.MaxAnswers > 0 {
			line += fmt.Sprint(" max ", g.MaxAnswers)
		}
		line += ":"
		for _, r := range g.Records {
			line += " " + r.Address.Remark
			if g.Balance != policy.BalanceAll {
				line += fmt.Sprint("*", r.Weight)
			}
		}
		groups = append(groups, line)
	}
	return strings.Join(groups, " | ")
}

// failing is a test, or a check of rapid.
type failing interface {
	Helper()
	Errorf(format string, arguments ...any)
}

// equal fails the test unless got is want.
func equal[T comparable](t failing, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s\n got: %v\nwant: %v", what, got, want)
	}
}

// equalTimes fails the test unless got has the names of want with the same times.
func equalTimes(t failing, what string, got, want map[string]time.Time) {
	t.Helper()
	if !maps.EqualFunc(got, want, time.Time.Equal) {
		t.Errorf("%s\n got: %v\nwant: %v", what, got, want)
	}
}

// same fails the test unless got and want are deeply equal.
func same[T any](t failing, what string, got, want T) {
	t.Helper()
	if diff := cmp.Diff(want, got, cmpopts.IgnoreUnexported(policy.SetState{}), cmpopts.EquateComparable(netip.Addr{}, policy.Threshold{}, policy.Judge{})); diff != "" {
		t.Errorf("%s (-want +got)\n%s", what, diff)
	}
}
