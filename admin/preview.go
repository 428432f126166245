package admin

import (
	"cmp"
	"errors"
	"fmt"
	"time"
)

// PreviewRequest asks what would change for clients if an override were set, or ended. One of both is given.
type PreviewRequest struct {
	// Set is the override that would be set; what it drains counts as drained. Clear is the ID of one that would end.
	Set   *OverrideRequest `json:"set,omitempty"`
	Clear string           `json:"clear,omitempty"`
}

// Check says everything that makes no sense in a request. A reason and an author may be missing: nobody reads them.
func (r *PreviewRequest) Check(now time.Time) error {
	switch {
	case (r.Set == nil) == (r.Clear == ""):
		return errors.New("want set, an override, or clear, the ID of one")
	case r.Set == nil && !IsOverrideID(r.Clear):
		return fmt.Errorf("clear %q: want an ID such as o17", r.Clear)
	case r.Set == nil:
		return nil
	}
	r.Set.Reason, r.Set.Author = cmp.Or(r.Set.Reason, "preview"), cmp.Or(r.Set.Author, "preview")
	return r.Set.Check(now)
}

// Preview is what a change would do, as things are now. Nothing has changed.
type Preview struct {
	// Policies are those with what the override is on.
	Policies []PolicyPreview `json:"policies"`
	// Affects is how many addresses of pools it is on.
	Affects int `json:"affects"`
	// Replaces is the override on the same target that would give way; nil: none.
	Replaces *Override `json:"replaces,omitempty"`
	// Refused says why it takes force; empty: it does not.
	Refused string `json:"refused,omitempty"`
}

// PolicyPreview is what would change for one policy in one family.
type PolicyPreview struct {
	Instance     string     `json:"instance"`
	AccessDomain string     `json:"access_domain"`
	Policy       string     `json:"policy"`
	Family       string     `json:"family"`
	Before       SetPreview `json:"before"`
	After        SetPreview `json:"after"`
	// Changes is whether clients would get something else.
	Changes bool `json:"changes"`
}

// SetPreview is a set in force and what it serves.
type SetPreview struct {
	// FellThrough is the policy whose set it is, where that of the preview falls through to it; empty: its own.
	FellThrough string `json:"fell_through,omitempty"`
	// Role is "none" when nothing would be answered.
	Role      string   `json:"role"`
	Why       string   `json:"why"`
	Addresses []string `json:"addresses"`
}
