package dashboard

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"gtmd/admin"
)

// A confirmation is a change that is about to be made, and what it would do.
type confirmation struct {
	actor
	Order   order
	What    string // in words
	Preview admin.Preview
	// Action is where the form goes, ID what it ends.
	Action, ID string
	// Override is the one that would end; nil: one would be set.
	Override *admin.Override
}

// confirm shows what an override or a drill would do.
func (d *dashboard) confirm(_ http.ResponseWriter, r *http.Request) (*view, error) {
	o := orderOf(r)
	request, err := overrideOf(r, o)
	if err != nil {
		return nil, err
	}
	preview, err := d.backend.Preview(admin.PreviewRequest{Set: &request})
	if err != nil {
		return nil, refused(err)
	}
	c := confirmation{actor: actorOf(r), Order: o, Preview: preview, Action: "/steer/override", What: fmt.Sprintf("%s counts as %s", request.OverrideTarget, stateText(request.State))}
	if o.IsDrill() {
		c.Action, c.What = "/steer/drill", fmt.Sprintf("Drill: %s counts as down for %s, and then comes back by itself", request.OverrideTarget, request.For)
	} else if request.For != 0 {
		c.What += ", for " + request.For.String()
	}
	return confirmView("This is what would change", c), nil
}

// confirmClear shows what the end of an override would do.
func (d *dashboard) confirmClear(_ http.ResponseWriter, r *http.Request) (*view, error) {
	id := r.FormValue("id")
	for _, o := range d.backend.Overrides() {
		if o.ID != id {
			continue
		}
		preview, err := d.backend.Preview(admin.PreviewRequest{Clear: id})
		if err != nil {
			return nil, refused(err)
		}
		return confirmView("End this override?", confirmation{
			actor: actorOf(r), Preview: preview, Action: "/steer/clear", ID: id, Override: &o, What: fmt.Sprintf("%s is no longer forced %s", o.OverrideTarget, o.State),
		}), nil
	}
	return nil, missing("There is no such override", "It has ended already, or was never there.")
}

func confirmView(title string, c confirmation) *view {
	slices.SortStableFunc(c.Preview.Policies, func(a, b admin.PolicyPreview) int { return changesFirst(a.Changes, b.Changes) })
	return &view{Title: title, Section: "/steer", Crumbs: []link{{"Overrides & drills", "/steer"}}, Still: true, Data: c}
}

func changesFirst(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// overrideOf makes the request for an override of what the form has, that of a drill being down. The error is a fault.
func overrideOf(r *http.Request, o order) (admin.OverrideRequest, error) {
	request := admin.OverrideRequest{OverrideTarget: o.Target(), State: o.Do, Reason: o.Reason, Author: admin.Author(r.Context(), o.Author), Force: o.Force}
	if o.IsDrill() {
		request.State = admin.OverrideDown
	}
	if o.For != "" {
		if err := request.For.UnmarshalText([]byte(o.For)); err != nil {
			return request, unfit(fmt.Errorf("for how long: %w", err))
		}
	}
	if o.IsDrill() && request.For == 0 {
		return request, unfit(fmt.Errorf("for how long: a drill needs a time, such as 10m"))
	}
	if err := request.Check(time.Now()); err != nil {
		return request, unfit(err)
	}
	return request, nil
}

// unfit is the fault of a form that makes no sense; refused that of one that the backend does not do.
func unfit(err error) error {
	return &fault{http.StatusBadRequest, "Something is missing or wrong", err.Error()}
}

func refused(err error) error {
	return &fault{http.StatusUnprocessableEntity, "This was not done", err.Error()}
}

func stateText(state string) string {
	switch state {
	case admin.OverrideUp:
		return "up, whatever its health checks say"
	case admin.OverrideDrain:
		return "drained: its weight falls to 0, then it is out"
	default:
		return "down, whatever its health checks say"
	}
}
