package dashboard

import (
	"net/http"

	"gtmd/admin"
)

// alerting is what the page of alerts shows.
type alerting struct {
	actor
	admin.AlertStatus
	// Tested is what a test has just done; nil: none was made.
	Tested []admin.Delivery
}

// shownDeliveries is how many attempts the page shows.
const shownDeliveries = 100

func (d *dashboard) alerts(_ http.ResponseWriter, r *http.Request) (*view, error) {
	return d.alertView(r, nil), nil
}

func (d *dashboard) alertView(r *http.Request, tested []admin.Delivery) *view {
	a := alerting{actor: actorOf(r), AlertStatus: d.backend.Alerts(), Tested: tested}
	a.Deliveries = a.Deliveries[:min(len(a.Deliveries), shownDeliveries)]
	return &view{Title: "Alerts", Section: "/alerts", JSON: "/api/v1/alerts", Data: a, Still: tested != nil,
		Lead: "Who is told what, and whether it arrives. One cause is one message, however many pools it is in."}
}

// testAlert sends a test message, and shows what became of it.
func (d *dashboard) testAlert(_ http.ResponseWriter, r *http.Request) (*view, error) {
	author := admin.Author(r.Context(), r.FormValue("author"))
	if author == "" {
		author = "dashboard"
	}
	reply, err := d.backend.TestAlert(r.Context(), admin.AlertTestRequest{Group: r.FormValue("group"), Method: r.FormValue("method"), Author: author})
	if err != nil {
		return nil, refused(err)
	}
	return d.alertView(r, append([]admin.Delivery{}, reply.Deliveries...)), nil
}
