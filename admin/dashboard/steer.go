package dashboard

import (
	"cmp"
	"net/http"
	"slices"
	"strings"

	"gtmd/admin"
)

// steering is what the page of overrides and drills shows.
type steering struct {
	actor
	Overrides []admin.Override
	Drills    []admin.Drill
	Order     order
	Pools     []string
	// Done says what has just been done; empty: nothing.
	Done string
}

// An order is what the form asks for: the fields of an override, or of a drill.
type order struct {
	Do                                   string // "down", "drain", "up" or "drill"
	Address, Pool, Instance, Policy, Set string
	For, Reason, Author                  string
	Force                                bool
}

// maxChoices is how many pools are offered to choose from; of more, one is written.
const maxChoices = 200

func orderOf(r *http.Request) order {
	field := func(name string) string { return strings.TrimSpace(r.FormValue(name)) }
	return order{
		Do: cmp.Or(field("do"), "down"), Address: field("address"), Pool: field("pool"), Instance: field("instance"), Policy: field("policy"),
		Set: field("set"), For: field("for"), Reason: field("reason"), Author: field("author"), Force: r.FormValue("force") != "",
	}
}

// Target is what it is on.
func (o order) Target() admin.OverrideTarget {
	return admin.OverrideTarget{Address: o.Address, Pool: o.Pool, Instance: o.Instance, Policy: o.Policy, Set: o.Set}
}

// IsDrill reports whether it asks for a drill.
func (o order) IsDrill() bool { return o.Do == "drill" }

func (d *dashboard) steer(_ http.ResponseWriter, r *http.Request) (*view, error) {
	s := steering{actor: actorOf(r), Overrides: d.backend.Overrides(), Drills: d.backend.Drills(), Order: orderOf(r), Done: d.done(r)}
	if pools := d.backend.Status().Pools; len(pools) <= maxChoices {
		for i := range pools {
			s.Pools = append(s.Pools, pools[i].Name)
		}
	}
	return &view{
		Title: "Overrides & drills", Section: "/steer", JSON: "/api/v1/overrides", Data: s,
		Lead: "What operators have decided beside the health checks. Every change is shown before it is made, and is noted with who, when and why.",
	}, nil
}

// done says what a form has just done, while it is so: the redirection carries an identity, and the page may stay open for a day.
func (d *dashboard) done(r *http.Request) string {
	id := r.URL.Query().Get("id")
	isInForce := slices.ContainsFunc(d.backend.Overrides(), func(o admin.Override) bool { return o.ID == id })
	isDrill := func(isRunning bool) bool {
		return slices.ContainsFunc(d.backend.Drills(), func(d admin.Drill) bool { return d.ID == id && (d.State == "running") == isRunning })
	}
	switch did := r.URL.Query().Get("done"); {
	case did == "set" && isInForce:
		return "Override " + id + " is in force."
	case did == "cleared" && isOverride(id) && !isInForce:
		return "Override " + id + " is cleared: what the health checks say counts again."
	case did == "drill" && isDrill(true):
		return "Drill " + id + " runs. It ends by itself."
	case did == "stopped" && isDrill(false):
		return "Drill " + id + " is stopped: what the health checks say counts again."
	default:
		return ""
	}
}

// isOverride reports whether a text can be the ID of an override.
func isOverride(id string) bool {
	number, ok := strings.CutPrefix(id, "o")
	return ok && number != "" && strings.Trim(number, "0123456789") == ""
}

// An actor is who looks at a page with forms.
type actor struct {
	// MaySteer is whether he may change something; with Login he has to log in there first.
	MaySteer bool
	Login    string
	// Name is that of his token; empty: he says himself who he is.
	Name string
}

func actorOf(r *http.Request) actor {
	a := actor{MaySteer: admin.RoleOf(r.Context()) >= admin.RoleOperate, Name: admin.CallerOf(r.Context()).Name}
	if admin.NeedsLogin(r) {
		a.Login = admin.LoginURL(r)
	}
	return a
}
