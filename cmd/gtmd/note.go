package main

import (
	"fmt"
	"strings"
	"time"

	"gtmd/admin"
)

// note says, for people, what is not normal about an address: what an operator forces, then what the health checks see.
// Empty: nothing.
func note(a *admin.AddressStatus) string {
	var notes []string
	up := a.Available
	if o := a.Override; o != nil && o.ID == admin.SupposedID {
		notes = append(notes, "supposed: "+o.Reason)
		up = a.Verdict != "down"
	} else if o != nil {
		notes = append(notes, fmt.Sprintf("%s by %s, %s (%s): %s", o.State, o.Author, left(o.Expires), o.ID, o.Reason))
		if a.Verdict != "" {
			notes = append(notes, "really "+a.Verdict)
		}
		up = a.Verdict != "down"
	}
	switch draining := a.Override != nil && a.Override.State == admin.OverrideDrain; {
	case a.Share == 100 || a.Share == 0 && draining:
	case draining:
		notes = append(notes, fmt.Sprintf("weight %d%%", a.Share))
	default:
		notes = append(notes, fmt.Sprintf("slow start, weight %d%%", a.Share))
	}
	return strings.Join(append(notes, probeNotes(&a.ProbeStatus, up)...), "; ")
}

// probeNotes says what is not normal about what health checks see.
func probeNotes(p *admin.ProbeStatus, up bool) (notes []string) {
	if p.Flapping != nil {
		notes = append(notes, "flapping for "+age(*p.Flapping))
	}
	if p.Degraded != "" {
		notes = append(notes, "degraded: "+p.Degraded)
	}
	if text := reason(p, up); text != "" && !(up && p.Degraded == text) {
		notes = append(notes, text)
	}
	return notes
}

// reason says why what is probed is down, or what begins to go wrong with it.
func reason(p *admin.ProbeStatus, up bool) string {
	switch {
	case p.CannotProbe && p.Reason != "":
		return p.Reason + "; " + p.LastError
	case p.CannotProbe:
		return p.LastError
	case !up:
		return p.Reason
	case p.LastError != "":
		return fmt.Sprintf("%d bad in a row: %s", p.Bad, p.LastError)
	default:
		return p.Warning
	}
}

// since is since when an address stands as it does: an override has its own time beside that of the verdict.
func since(a *admin.AddressStatus) *time.Time {
	if a.Override != nil {
		return &a.Override.Since
	}
	return a.Since
}

// resolutionNote says what a name of a domain pool resolves to.
func resolutionNote(r *admin.ResolvedStatus) string {
	const most = 4
	text := join(r.Addresses[:min(len(r.Addresses), most)])
	if more := len(r.Addresses) - most; more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	switch {
	case r.Error != "" && text != "":
		return fmt.Sprintf("does not resolve (%s), it was %s", r.Error, text)
	case r.Error != "":
		return fmt.Sprintf("does not resolve (%s)", r.Error)
	case text == "":
		return "is not resolved yet"
	default:
		return "resolves to " + text
	}
}
