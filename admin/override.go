package admin

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// The states that an override can force.
const (
	OverrideUp    = "up"
	OverrideDown  = "down"
	OverrideDrain = "drain" // the weight falls to 0, then down
)

// OverrideTarget is what an override is on: an address in every pool, an address of one pool, a pool, or a set of a
// policy. The more specific one counts: an address of a pool before an address, before a pool, before a set.
type OverrideTarget struct {
	// Address is an address or a domain name as the configuration has it; Pool may narrow it to one pool.
	Address string `json:"address,omitempty"`
	Pool    string `json:"pool,omitempty"`
	// Instance, Policy and Set, a role such as "backup 2", go together.
	Instance string `json:"instance,omitempty"`
	Policy   string `json:"policy,omitempty"`
	Set      string `json:"set,omitempty"`
}

// String names the target for people.
func (t OverrideTarget) String() string {
	switch {
	case t.Address != "" && t.Pool != "":
		return t.Address + " of pool " + t.Pool
	case t.Address != "":
		return t.Address
	case t.Pool != "":
		return "pool " + t.Pool
	default:
		return fmt.Sprintf("the %s set of policy %s of %s", t.Set, t.Policy, t.Instance)
	}
}

// OverrideRequest asks for an override.
type OverrideRequest struct {
	OverrideTarget
	State string `json:"state"`
	// Reason and Author are for people, and needed.
	Reason string `json:"reason"`
	Author string `json:"author"`
	// For is how long it holds, by a clock that only runs forward; Until is when it ends, by the clock on the wall. Neither:
	// until it is cleared.
	For   Duration   `json:"for,omitempty"`
	Until *time.Time `json:"until,omitempty"`
	// Over is the time that a drain takes. Nil: [DefaultDrain]; 0 is at once.
	Over *Duration `json:"over,omitempty"`
	// Force sets it even where it leaves an instance no available address.
	Force bool `json:"force,omitempty"`
}

// DefaultDrain is the time that a drain takes.
const DefaultDrain = Duration(time.Minute)

// Override is one that is in force.
type Override struct {
	// ID names it, and is never that of another: see [IsOverrideID].
	ID string `json:"id"`
	OverrideTarget
	State  string    `json:"state"`
	Reason string    `json:"reason"`
	Author string    `json:"author"`
	Since  time.Time `json:"since"`
	// Expires is when it ends by itself. Nil: it does not.
	Expires *time.Time `json:"expires,omitempty"`
	// Over is the time that a drain takes, nil for the other states; Phase says how far it is: "draining, weight 40%", "drained".
	Over  *Duration `json:"over,omitempty"`
	Phase string    `json:"phase,omitempty"`
	// Forced is whether it was set with force.
	Forced bool `json:"forced,omitempty"`
	// Drill is the ID of the drill that it belongs to; empty: to none.
	Drill string `json:"drill,omitempty"`
	// Affects is how many addresses of pools it is on.
	Affects int `json:"affects"`
}

// SupposedID is in place of an ID where an override is only supposed: see [Question]. Its reason is the supposition.
const SupposedID = "supposed"

// OverrideNote is an override as the state of an address shows it.
type OverrideNote struct {
	ID      string     `json:"id"`
	State   string     `json:"state"`
	Reason  string     `json:"reason"`
	Author  string     `json:"author"`
	Since   time.Time  `json:"since"`
	Expires *time.Time `json:"expires,omitempty"`
}

// OverrideResult is the answer of POST /api/v1/overrides.
type OverrideResult struct {
	Override
	Warnings []string `json:"warnings,omitempty"`
}

// OverrideList is the answer of GET /api/v1/overrides.
type OverrideList struct {
	Overrides []Override `json:"overrides"`
}

// ClearRequest asks for the end of overrides: of one by its ID, of that on exactly a target, or of all.
type ClearRequest struct {
	ID string `json:"id,omitempty"`
	OverrideTarget
	All bool `json:"all,omitempty"`
	// Author is who asks, for people, and needed.
	Author string `json:"author"`
}

// ClearResult is the answer of POST /api/v1/overrides/clear.
type ClearResult struct {
	Cleared  []Override `json:"cleared"`
	Warnings []string   `json:"warnings,omitempty"`
}

// Bounds of what people write, in characters, and of times.
const (
	maxReason = 300
	maxName   = 255
	maxFor    = 366 * 24 * time.Hour
	maxOver   = 24 * time.Hour
)

// Check says everything that makes no sense in a request, whatever there is to override. It writes an address as the
// configuration does, domain names in small letters without a last dot, and gives a drain its time.
func (r *OverrideRequest) Check(now time.Time) error {
	problems := r.OverrideTarget.check()
	switch r.State {
	case OverrideUp, OverrideDown, OverrideDrain:
	default:
		problems = append(problems, fmt.Sprintf("state %q: want up, down or drain", r.State))
	}
	problems = append(problems, checkText("reason", r.Reason, maxReason)...)
	problems = append(problems, checkText("author", r.Author, maxName)...)
	switch {
	case r.For != 0 && r.Until != nil:
		problems = append(problems, "for and until: want one of them")
	case r.For != 0 && (r.For < Duration(time.Second) || r.For > Duration(maxFor)):
		problems = append(problems, fmt.Sprintf("for %s: want 1s to %s", r.For, Duration(maxFor)))
	case r.Until != nil && !r.Until.After(now):
		problems = append(problems, fmt.Sprintf("until %s: that is past", r.Until.Format(time.RFC3339)))
	case r.Until != nil && r.Until.Sub(now) > maxFor:
		problems = append(problems, fmt.Sprintf("until %s: want at most %s from now", r.Until.Format(time.RFC3339), Duration(maxFor)))
	}
	switch {
	case r.State != OverrideDrain && r.Over != nil:
		problems = append(problems, "over: only a drain takes time")
	case r.Over != nil && (*r.Over < 0 || *r.Over > Duration(maxOver)):
		problems = append(problems, fmt.Sprintf("over %s: want 0s to %s", *r.Over, Duration(maxOver)))
	case r.State == OverrideDrain && r.Over == nil:
		over := DefaultDrain
		r.Over = &over
	}
	return joinProblems(problems)
}

// Check says everything that makes no sense in a request. It writes an address as the configuration does.
func (r *ClearRequest) Check() error {
	var problems []string
	onTarget := r.OverrideTarget != OverrideTarget{}
	switch {
	case r.ID != "" && (onTarget || r.All), onTarget && r.All:
		problems = append(problems, "want one of id, a target and all")
	case r.ID != "" && !IsOverrideID(r.ID):
		problems = append(problems, fmt.Sprintf("id %q: want one such as o17", r.ID))
	case r.ID == "" && !r.All:
		problems = r.OverrideTarget.check()
	}
	return joinProblems(append(problems, checkText("author", r.Author, maxName)...))
}

// check says what is wrong with a target.
func (t *OverrideTarget) check() (problems []string) {
	parts, onSet := 0, false
	for _, part := range []string{t.Instance, t.Policy, t.Set} {
		if part != "" {
			parts, onSet = parts+1, true
		}
	}
	switch {
	case !onSet && t.Address == "" && t.Pool == "":
		return []string{"want a target: an address, an address of a pool, a pool, or instance, policy and set"}
	case onSet && (t.Address != "" || t.Pool != ""):
		problems = append(problems, "want one target: an address or a pool, or instance, policy and set")
	case onSet && parts < 3:
		problems = append(problems, "instance, policy and set: want all three")
	}
	for _, part := range []struct{ name, text string }{{"pool", t.Pool}, {"instance", t.Instance}, {"policy", t.Policy}, {"set", t.Set}} {
		if part.text != "" {
			problems = append(problems, checkText(part.name, part.text, maxName)...)
		}
	}
	if t.Address == "" {
		return problems
	}
	if ip, err := netip.ParseAddr(t.Address); err == nil && ip.Zone() == "" {
		t.Address = ip.Unmap().String()
		return problems
	}
	t.Address = strings.TrimSuffix(strings.ToLower(t.Address), ".")
	if t.Address == "" || len(t.Address) > maxName || strings.ContainsFunc(t.Address, func(c rune) bool {
		return strings.ContainsRune("/:%,", c) || c == ' ' || !unicode.IsPrint(c)
	}) {
		problems = append(problems, fmt.Sprintf("address %q: want an address or a domain name; the pool is named beside it", t.Address))
	}
	return problems
}

// checkText says what is wrong with a text that people need.
func checkText(what, text string, limit int) []string {
	switch {
	case strings.TrimSpace(text) == "":
		return []string{"the " + what + " is missing"}
	case utf8.RuneCountInString(text) > limit:
		return []string{fmt.Sprintf("the %s has more than %d characters", what, limit)}
	case strings.ContainsFunc(text, func(c rune) bool { return !unicode.IsPrint(c) }):
		return []string{fmt.Sprintf("the %s has a line break or another character that cannot be printed", what)}
	}
	return nil
}

func joinProblems(problems []string) error {
	if len(problems) == 0 {
		return nil
	}
	return errors.New(strings.Join(problems, "; "))
}

// EmptyError is why an override is refused: it would leave instances no available address in any set of a policy.
type EmptyError struct {
	Emptied []EmptiedPolicy // at least one
}

// EmptiedPolicy is a policy that would have no available address for a family: "ipv4", "ipv6" or "both".
type EmptiedPolicy struct {
	Instance, Policy, Family string
}

func (e *EmptyError) Error() string {
	emptied := make([]string, len(e.Emptied))
	for i, p := range e.Emptied {
		emptied[i] = fmt.Sprintf("instance %q, policy %q (%s)", p.Instance, p.Policy, p.Family)
	}
	return "refused: no set would have an available address left: " + strings.Join(emptied, "; ") + ". It takes force to do it all the same"
}

// IsOverrideID reports whether a text has the form of the ID of an override, "o" and a number such as o17. No address has.
func IsOverrideID(text string) bool {
	digits, found := strings.CutPrefix(text, "o")
	return found && digits != "" && strings.Trim(digits, "0123456789") == ""
}
