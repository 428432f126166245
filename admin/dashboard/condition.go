package dashboard

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"gtmd/admin"
)

// A condition is something that is not normal now.
type condition struct {
	Key   string // of all its kind, the same while it lasts
	Mark  mark
	Title string
	URL   string // where there is more about it; empty: nowhere
	Since *time.Time
	Text  string
	Items []item
	// More is how many items are left out, which MoreURL has.
	More    int
	MoreURL string
}

// An item is one of those that a condition is about.
type item struct {
	link
	Note  string
	Since *time.Time
	Until *time.Time
}

// Bounds of what the overview says.
const (
	maxItems  = 6 // of a condition
	maxCauses = 8
)

// Certificates that end within soon are told, within verySoon as bad.
const (
	soon     = 14 * 24 * time.Hour
	verySoon = 3 * 24 * time.Hour
)

// state is all that conditions are found in.
type state struct {
	admin.Status
	business []admin.BusinessDomainStatus
	alerts   admin.AlertStatus
	drills   []admin.Drill
	now      time.Time
}

func (d *dashboard) state() *state {
	return &state{d.backend.Status(), d.backend.BusinessDomains(), d.backend.Alerts(), d.backend.Drills(), time.Now()}
}

// conditions are what is not normal, the worst first.
func (s *state) conditions() []condition {
	all := slices.Concat(s.serving(), s.policies(), s.downs(), s.probing(), s.certificates(), s.databases(), s.names(),
		s.businesses(), s.deliveries(), s.warnings(), s.steered())
	for i := range all {
		if c := &all[i]; len(c.Items) > maxItems {
			c.More, c.Items = len(c.Items)-maxItems, c.Items[:maxItems]
		}
	}
	slices.SortStableFunc(all, func(a, b condition) int { return cmp.Compare(b.Mark.Tone.worse(), a.Mark.Tone.worse()) })
	return all
}

// serving are conditions of the process as a whole.
func (s *state) serving() (all []condition) {
	if s.Ready != "ready" {
		all = append(all, condition{Key: "ready", Mark: mark{bad, "not ready"}, Title: "Queries are not answered yet", Text: s.Ready})
	}
	if s.Config.Error != "" {
		all = append(all, condition{
			Key: "config", Mark: mark{bad, "refused"}, Title: "The configuration was refused; the one before it serves on", URL: "/config",
			Since: s.Config.Refused, Text: firstLines(s.Config.Error, 3),
		})
	}
	if s.StateError != "" {
		all = append(all, condition{
			Key: "state", Mark: mark{bad, "not saved"}, Title: "The state cannot be saved: a restart would forget verdicts and overrides",
			Since: s.StateFailed, Text: s.StateError,
		})
	}
	for i := range s.Blind {
		b := &s.Blind[i]
		all = append(all, condition{
			Key: "blind-" + b.Family, Mark: mark{bad, "blind"}, Title: "Probes over " + familyName(b.Family) + " fail for a reason of this machine",
			Since: &b.Since, Text: "No verdict turns down meanwhile. " + b.Reason,
		})
	}
	return all
}

// kinds of conditions of policies, in the order in which they are told.
var policyKinds = []struct {
	mark
	title, url string
	// of are the sets of a policy that it is about; none: the policy is not so.
	of func(*admin.PolicyStatus) string
}{
	{mark{bad, "empty"}, "Nothing is answered", "failing", ofWhy(whyEmpty)},
	{mark{bad, "fail open"}, "Nothing is available, everything is answered", "failing", ofWhy(whyFailOpen)},
	{mark{bad, "degraded"}, "Too few addresses are available in every set", "failing", ofWhy(whyDegraded)},
	{mark{warn, "on backup"}, "A backup set answers", "backup", ofWhy(whyFailover, whyWaiting, whyHeld)},
	{mark{warn, noSpare}, "A set that stands by is not available", "attention", brokenSpares},
	{mark{steer, "pinned"}, "A set is kept in force whatever its health", "attention", ofWhy(whyPinned)},
}

// noSpare is the mark of policies with broken spares.
const noSpare = "no spare"

// ofWhy picks the set in force for one of some reasons.
func ofWhy(reasons ...string) func(*admin.PolicyStatus) string {
	return func(p *admin.PolicyStatus) string {
		if !slices.Contains(reasons, p.Why) {
			return ""
		}
		return cmp.Or(p.InForce, "none")
	}
}

// brokenSpares are the sets behind the one in force that are not available: they could not take over.
func brokenSpares(p *admin.PolicyStatus) string {
	var roles []string
	behind := false
	for i := range p.Sets {
		if behind && !p.Sets[i].Available {
			roles = append(roles, p.Sets[i].Role)
		}
		behind = behind || p.Sets[i].InForce
	}
	return strings.Join(roles, ", ")
}

// policies are conditions of policies, with an item for each instance.
func (s *state) policies() (all []condition) {
	pools := make(map[string]*admin.PoolStatus, len(s.Pools))
	for i := range s.Pools {
		pools[s.Pools[i].Name] = &s.Pools[i]
	}
	for _, kind := range policyKinds {
		c := condition{
			Key: "policies-" + kind.Text, Mark: kind.mark, Title: kind.title, URL: address("/instances", "state", kind.url),
			MoreURL: address("/instances", "state", kind.url),
		}
		for i := range s.Instances {
			in := &s.Instances[i]
			var hit []*admin.PolicyStatus
			for j := range in.Policies {
				if p := &in.Policies[j]; kind.of(p) != "" {
					hit = append(hit, p)
				}
			}
			if len(hit) == 0 {
				continue
			}
			it := item{link: link{in.Name, instanceURL(in.Name)}, Note: policiesNote(hit, kind.of)}
			if kind.Text == noSpare {
				c.Items = append(c.Items, it) // since when is not known
				continue
			}
			for _, p := range hit {
				if since := beganSince(p, pools); since != nil && (it.Since == nil || since.After(*it.Since)) {
					it.Since = since
				}
			}
			c.Items = append(c.Items, it)
			if it.Since != nil && (c.Since == nil || it.Since.Before(*c.Since)) {
				c.Since = it.Since
			}
		}
		if len(c.Items) > 0 {
			c.Title += " (" + plural(len(c.Items), "instance", "instances") + ")"
			all = append(all, c)
		}
	}
	return all
}

// beganSince is since when a policy is as it is; nil: that is not known. The set in force may have been so for longer: that all of
// it is served for want of anything available began when the last address went down.
func beganSince(p *admin.PolicyStatus, pools map[string]*admin.PoolStatus) *time.Time {
	switch p.Why {
	case whyDegraded:
		return nil
	case whyFailOpen:
	default:
		return &p.Since
	}
	var last *time.Time
	for i := range p.Sets {
		for _, name := range p.Sets[i].Pools {
			pool := pools[name]
			if pool == nil {
				return nil
			}
			for j := range pool.Addresses {
				a := &pool.Addresses[j]
				since := a.Since
				if a.Override != nil {
					since = &a.Override.Since
				}
				if since != nil && (last == nil || since.After(*last)) {
					last = since
				}
			}
		}
	}
	return last
}

// policiesNote names policies with their families and sets, of some of them.
func policiesNote(hit []*admin.PolicyStatus, of func(*admin.PolicyStatus) string) string {
	const most = 3
	var texts []string
	for i := 0; i < len(hit) && len(texts) < most; i++ {
		p := hit[i]
		families := familyName(p.Family)
		if i+1 < len(hit) && hit[i+1].Name == p.Name && of(hit[i+1]) == of(p) {
			i++
			families += " and " + familyName(hit[i].Family)
		}
		texts = append(texts, p.Name+" ("+families+"): "+of(p))
	}
	text := strings.Join(texts, "; ")
	names := map[string]bool{}
	for _, p := range hit {
		names[p.Name] = true
	}
	if more := len(names) - most; more > 0 {
		text += "; and " + plural(more, "policy", "policies") + " more"
	}
	return text
}

func firstLines(text string, most int) string {
	lines := strings.SplitN(strings.TrimSpace(text), "\n", most+1)
	if len(lines) > most {
		lines[most] = "…"
	}
	return strings.Join(lines, "\n")
}
