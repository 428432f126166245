package node_test

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// TestAlertOfFortyPools: an origin that forty instances use, each by pools of its own, dies and comes back: one message of each, with all
// that followed.
func TestAlertOfFortyPools(t *testing.T) {
	t.Parallel()
	s := newSite(t, 2)
	box := newMailbox(t)
	var many strings.Builder
	const count = 40
	for i := range count {
		number := fmt.Sprint(i)
		many.WriteString(strings.NewReplacer("test1", "one"+number, "test2", "two"+number).Replace(pools))
		many.WriteString(strings.NewReplacer("test1", "one"+number, "test2", "two"+number, "cdn-origin", "cdn"+number, "origin.gtm", "o"+number+".gtm").Replace(instance))
	}
	n := s.start(header, many.String(), strings.Replace(group, "$URL", box.URL, 1))
	s.origins[0].stop()
	eventually(t, "1", func() string { return fmt.Sprint(len(box.all())) })
	s.origins[0].start()
	eventually(t, "2", func() string { return fmt.Sprint(len(box.all())) })
	time.Sleep(2 * time.Second) // a mistake would show by now
	got := box.all()
	equal(t, "messages", len(got), 2)
	equal(t, "down", got[0].Title, fmt.Sprintf("[gtmd] ALERT: %s (%d pools, one0 and others) is down: connect: connection refused (and %d more)", s.origins[0], count, 2*count))
	equal(t, "up", got[1].Title, fmt.Sprintf("[gtmd] RESOLVED: %s (%d pools, one0 and others) is up again (and %d more)", s.origins[0], count, 2*count))
	for i, m := range got {
		if omitted := len(m.Events) + m.Omitted; omitted != 1+2*count {
			t.Errorf("message %d has %d events, want %d", i, omitted, 1+2*count)
		}
	}
	equal(t, "firing", len(n.Alerts().Firing), 0)
}
