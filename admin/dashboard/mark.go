package dashboard

import (
	"strings"

	"gtmd/admin"
)

// A tone is what a mark says at a glance. It has a form of its own beside its colour.
type tone string

const (
	good  tone = "good"  // a disc
	warn  tone = "warn"  // a triangle
	bad   tone = "bad"   // a square
	idle  tone = "idle"  // a ring: not known, not used
	steer tone = "steer" // a diamond: an operator's will
)

// worse orders tones: the higher comes first where what is not normal is listed.
func (t tone) worse() int { return strings.Index("idle good steer warn bad", string(t)) }

// A mark is a state in a word.
type mark struct {
	Tone tone
	Text string
}

// newMark is for templates, where a tone is a text or a tone.
func newMark(t any, text string) mark {
	if known, isTone := t.(tone); isTone {
		return mark{known, text}
	}
	word, _ := t.(string)
	return mark{tone(word), text}
}

// Why a set is in force, as the API says it.
const (
	whyNormal   = "normal"
	whyFailover = "failover"
	whyWaiting  = "failback waits"
	whyHeld     = "failback is manual"
	whyDegraded = "degraded"
	whyFailOpen = "fail open"
	whyPinned   = "pinned"
	whyEmpty    = "empty"
)

// policyTone is how well a policy does in a family.
func policyTone(p *admin.PolicyStatus) tone {
	switch p.Why {
	case whyNormal:
		return good
	case whyFailover, whyWaiting, whyHeld:
		return warn
	case whyPinned:
		return steer
	}
	return bad
}

// explained is a sentence on why a set is in force.
func explained(p *admin.PolicyStatus) string {
	switch p.Why {
	case whyNormal:
		return "The preferred set is available and answers."
	case whyFailover:
		return "A preferred set is not available: this one answers in its place."
	case whyWaiting:
		return "A preferred set is available again; it takes over when it has been so for the time that the policy asks for."
	case whyHeld:
		return "A preferred set is available again, but the policy wants an operator to switch back."
	case whyDegraded:
		return "No set has as many available addresses as it needs: the one with some answers."
	case whyFailOpen:
		return "Nothing is available: all addresses of this set are answered, as if they were."
	case whyPinned:
		return "The configuration keeps this set in force, whatever its health."
	case whyEmpty:
		return "Nothing is available, and the policy wants nothing to be answered then."
	}
	return ""
}

// familyName is a family for people.
func familyName(family string) string {
	switch family {
	case "ipv4":
		return "IPv4"
	case "ipv6":
		return "IPv6"
	case "both":
		return "IPv4 and IPv6"
	}
	return family
}

// addressMark is how an address stands.
func addressMark(a *admin.AddressStatus) mark {
	switch {
	case a.Override != nil:
		return mark{steer, a.Standing}
	case a.Standing == "down":
		return mark{bad, a.Standing}
	case a.Standing == "up" && (a.Degraded != "" || a.Flapping != nil || a.CannotProbe || a.Warning != "" || a.LastError != ""):
		return mark{warn, a.Standing}
	case a.Standing == "up":
		return mark{good, a.Standing}
	}
	return mark{idle, a.Standing}
}

// verdictMark is what the health checks say.
func verdictMark(verdict string) mark {
	switch verdict {
	case "up":
		return mark{good, verdict}
	case "down":
		return mark{bad, verdict}
	case "":
		return mark{idle, "not probed"}
	}
	return mark{idle, verdict}
}

// addressNotes say what is not normal about an address, what an operator wants first.
func addressNotes(a *admin.AddressStatus) (notes []string) {
	if o := a.Override; o != nil {
		notes = append(notes, o.State+" by "+o.Author+": "+o.Reason)
		if a.Verdict != "" {
			notes = append(notes, "the health checks say "+a.Verdict)
		}
	}
	if a.Share != 100 && a.Share != 0 {
		notes = append(notes, "weight at "+number(a.Share)+"%")
	}
	return append(notes, probeNotes(&a.ProbeStatus)...)
}

// probeNotes say what is not normal about what health checks see.
func probeNotes(p *admin.ProbeStatus) (notes []string) {
	add := func(text string) {
		if text != "" {
			for _, other := range notes {
				if other == text {
					return
				}
			}
			notes = append(notes, text)
		}
	}
	if p.Flapping != nil {
		add("flapping: the verdict is held")
	}
	if p.Verdict == "down" || p.CannotProbe {
		add(p.Reason)
	}
	if p.CannotProbe {
		add("cannot be probed from here: " + p.LastError)
	} else if p.Verdict != "down" && p.LastError != "" {
		add(plural(p.Bad, "failure", "failures") + " in a row: " + p.LastError)
	}
	add(p.Degraded)
	add(p.Warning)
	return notes
}

// setMark is how a set stands in its policy.
func setMark(s *admin.SetStatus) mark {
	switch {
	case s.InForce && s.Available:
		return mark{good, "in force"}
	case s.InForce:
		return mark{bad, "in force, not available"}
	case s.Available:
		return mark{idle, "stands by"}
	}
	return mark{bad, "not available"}
}
