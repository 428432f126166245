package alert

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// TestUrgentStorm: addresses go down one after the other, and every tenth takes a policy with it, which is urgent. It is a handful of
// messages all the same, the second says by when clients get no good answer, and nothing waits for long.
func TestUrgentStorm(t *testing.T) {
	for _, spread := range []time.Duration{5 * time.Second, 30 * time.Second, 2 * time.Minute} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.dir = ""
			s.start(ops("mail"))
			defer s.stop()
			const n, batch = 10_000, 250
			for i := range n {
				address := fmt.Sprintf("10.0.%d.%d", i/256, i%256)
				s.Post(down(address))
				if i%10 == 9 && i > n/10 {
					s.Post(Event{Time: time.Now(), Kind: "fail_open", Key: address, Rank: 2, Title: "all of a set are served", Cause: down(address).Cause})
				}
				if i%batch == 0 {
					time.Sleep(spread * batch / n)
				}
			}
			s.after(5 * time.Minute)
			got, at := s.receivers["mail"].messages(), s.receivers["mail"].at
			sum, open := 0, time.Time{}
			for i, m := range got {
				sum += len(m.Events) + m.Omitted
				for _, e := range m.Events {
					if e.Kind == "fail_open" && open.IsZero() {
						open = at[i]
						if late := at[i].Sub(e.Time); late > 5*time.Second {
							t.Errorf("spread %v: what is urgent is told after %v", spread, late)
						}
					}
				}
			}
			if want := n + n*9/100; len(got) > 5 || sum != want {
				t.Errorf("spread %v: %d messages tell of %d events: want at most 5, of %d", spread, len(got), sum, want)
			}
		})
	}
}
