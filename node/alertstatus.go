package node

import (
	"context"

	"gtmd/admin"
	"gtmd/alert"
)

// Alerts is the state of what tells people; see admin.Backend.
func (n *Node) Alerts() admin.AlertStatus {
	status := n.alerts.Status()
	all := admin.AlertStatus{Groups: []admin.AlertGroupStatus{}, Firing: []admin.FiringAlert{}, Deliveries: deliveries(status.Deliveries)}
	for _, g := range status.Groups {
		group := admin.AlertGroupStatus{Name: g.Name, Instances: append([]string{}, g.Instances...), Methods: []admin.AlertMethodStatus{}}
		for _, m := range g.Methods {
			group.Methods = append(group.Methods, admin.AlertMethodStatus{
				Name: m.Name, Kind: string(m.Kind), To: m.To, Queued: m.Queued, LastSuccess: moment(m.LastSuccess),
				LastFailure: moment(m.LastFailure), Error: m.Error, Next: moment(m.Next),
			})
		}
		all.Groups = append(all.Groups, group)
	}
	for _, f := range status.Firing {
		all.Firing = append(all.Firing, admin.FiringAlert{
			Key: f.Key, Kind: admin.EventKind(f.Kind), Since: f.Time.Round(0), Title: f.Title, Instances: f.Instances,
		})
	}
	return all
}

// deliveries are attempts as the API tells them; never nil.
func deliveries(all []alert.Delivery) []admin.Delivery {
	list := []admin.Delivery{}
	for _, d := range all {
		list = append(list, admin.Delivery{
			Time: d.Time.Round(0), Group: d.Group, Method: d.Method, Message: d.Message, ID: d.ID, Attempt: d.Attempt, Error: d.Error,
		})
	}
	return list
}

// TestAlert sends a test message; see admin.Backend.
func (n *Node) TestAlert(ctx context.Context, r admin.AlertTestRequest) (admin.AlertTestReply, error) {
	tried, err := n.alerts.Test(ctx, r.Group, r.Method)
	e := admin.Event{Kind: admin.EventAlertTest, Message: "a test message for alert group " + r.Group}
	if r.Method != "" {
		e.Message += ", method " + r.Method
	}
	if err != nil {
		n.refused(ctx, r.Author, admin.Event{Message: e.Message, Reason: err.Error()})
		return admin.AlertTestReply{}, err
	}
	for _, d := range tried {
		e.Reason = also(e.Reason, d.Error)
	}
	n.noteBy(ctx, r.Author, e)
	return admin.AlertTestReply{Deliveries: deliveries(tried)}, nil
}
