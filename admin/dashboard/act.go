package dashboard

import (
	"net/http"
	"net/url"

	"gtmd/admin"
)

// setOverride sets the override of a form that was confirmed.
func (d *dashboard) setOverride(w http.ResponseWriter, r *http.Request) (*view, error) {
	request, err := overrideOf(r, orderOf(r))
	if err != nil {
		return nil, err
	}
	result, err := d.backend.SetOverride(r.Context(), request)
	if err != nil {
		return nil, refusedChange(err)
	}
	return nil, back(w, r, "set", result.ID)
}

func (d *dashboard) clearOverride(w http.ResponseWriter, r *http.Request) (*view, error) {
	request := admin.ClearRequest{ID: r.FormValue("id"), Author: admin.Author(r.Context(), r.FormValue("author"))}
	if err := request.Check(); err != nil {
		return nil, unfit(err)
	}
	if _, err := d.backend.ClearOverride(r.Context(), request); err != nil {
		return nil, refused(err)
	}
	return nil, back(w, r, "cleared", request.ID)
}

func (d *dashboard) startDrill(w http.ResponseWriter, r *http.Request) (*view, error) {
	o := orderOf(r)
	o.Do = "drill"
	override, err := overrideOf(r, o)
	if err != nil {
		return nil, err
	}
	drill, err := d.backend.StartDrill(r.Context(), admin.DrillRequest{
		OverrideTarget: override.OverrideTarget, For: override.For, Reason: override.Reason, Author: override.Author, Force: override.Force,
	})
	if err != nil {
		return nil, refusedChange(err)
	}
	return nil, back(w, r, "drill", drill.ID)
}

func (d *dashboard) stopDrill(w http.ResponseWriter, r *http.Request) (*view, error) {
	request := admin.StopDrillRequest{ID: r.FormValue("id"), Author: admin.Author(r.Context(), r.FormValue("author"))}
	if err := request.Check(); err != nil {
		return nil, unfit(err)
	}
	if _, err := d.backend.StopDrill(r.Context(), request); err != nil {
		return nil, refused(err)
	}
	return nil, back(w, r, "stopped", request.ID)
}

// back leads to the page of overrides and drills, which says what was done: a reload of it does not do it again.
func back(w http.ResponseWriter, r *http.Request, done, id string) error {
	http.Redirect(w, r, "/steer?"+url.Values{"done": {done}, "id": {id}}.Encode(), http.StatusSeeOther)
	return nil
}

// refusedChange is the fault of a change that takes force.
func refusedChange(err error) error {
	if admin.TakesForce(err) {
		return &fault{http.StatusConflict, "This takes force", err.Error()}
	}
	return refused(err)
}
