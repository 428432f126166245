package node

import (
	"context"
	"net/netip"

	"gtmd/admin"
	"gtmd/healthcheck"
)

// Push takes the report of an origin; see admin.Backend. Who does not have the token of a health check learns nothing of what
// there is.
func (n *Node) Push(_ context.Context, r admin.PushReport) error {
	w := n.world.Load()
	check := w.checks[r.Check]
	if check == nil {
		check = &healthcheck.Check{} // takes as long, and no token
	}
	if !check.Authorize(r.Token) {
		return admin.ErrPushToken
	}
	address, err := netip.ParseAddr(r.Address)
	if err != nil {
		return admin.ErrPushTarget
	}
	id := check.Target(address, r.Host).ID
	if _, isProbed := w.probed[id]; !isProbed {
		return admin.ErrPushTarget
	}
	isUp := r.Status == "up"
	last, known := n.prober.LastReport(id)
	n.prober.Report(id, healthcheck.PushReport{Up: isUp, Reason: r.Reason})
	if !known || last.Up != isUp { // Else the report counts at its time: one that is sent twice must not count twice.
		n.engine.Hurry(id)
	}
	return nil
}
