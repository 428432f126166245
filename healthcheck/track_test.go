package healthcheck

import (
	"context"
	"errors"
	"math"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

func TestSmoothed(t *testing.T) {
	const ms = time.Millisecond
	for _, tt := range []struct{ rtt, measured, want time.Duration }{
		{0, 80 * ms, 80 * ms},        // the first one as it is
		{0, 0, 1},                    // a clock too coarse for it
		{80 * ms, 80 * ms, 80 * ms},  // no change
		{80 * ms, 160 * ms, 90 * ms}, // an eighth of the way up
		{80 * ms, 0, 70 * ms},        // and down
		{80 * ms, 5 * time.Second, 695 * ms},
		{1, 0, 1},
	} {
		if got := smoothed(tt.rtt, tt.measured); got != tt.want {
			t.Errorf("smoothed(%v, %v) = %v, want %v", tt.rtt, tt.measured, got, tt.want)
		}
	}
}

// TestSmoothedAgainstModel holds the running average against the sum that it stands for.
func TestSmoothedAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		measured := rapid.SliceOfN(rapid.Int64Range(1, int64(time.Minute)), 1, 40).Draw(t, "measured")
		var rtt time.Duration
		model, least, most := 0.0, measured[0], measured[0]
		for i, m := range measured {
			rtt, least, most = smoothed(rtt, time.Duration(m)), min(least, m), max(most, m)
			model = 0 // The first has the weight that is left, (7/8)^n; each later one 1/8 of what is left after it.
			for j, past := range measured[:i+1] {
				weight := math.Pow(7.0/8, float64(i-j))
				if j > 0 {
					weight /= 8
				}
				model += weight * float64(past)
			}
			// Each step loses less than 1 ns to rounding, and of that an eighth fades with each step.
			if math.Abs(model-float64(rtt)) > 8 {
				t.Fatalf("after %v: %v, want %v", measured[:i+1], rtt, time.Duration(model))
			}
			if int64(rtt) < least || int64(rtt) > most {
				t.Fatalf("after %v: %v is not between %v and %v", measured[:i+1], rtt, least, most)
			}
		}
	})
}

// TestEngineRTT checks that good probes only are averaged, by what they took or by what they report, that a reload keeps
// the average, and that what is reported of it is no news.
func TestEngineRTT(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := startEngine(t, EngineOptions{})
		const ms = time.Millisecond
		s := newScript(func(context.Context, *Report) error { time.Sleep(80 * ms); return nil })
		e.Set([]Target{s.target("a")})
		if got := targetsOf(e.Status())["a"].RTT; got != 0 {
			t.Errorf("before the first probe: %v", got)
		}
		after := func(what string, run Probe, want time.Duration) {
			t.Helper()
			if run != nil {
				s.set(run)
			}
			for n := len(s.calls()); len(s.calls()) == n; {
				time.Sleep(100 * ms)
			}
			time.Sleep(time.Second)
			got := targetsOf(e.Status())["a"]
			if got.RTT != want || got.Report.RTT != 0 {
				t.Errorf("%s: %v, want %v; the report has %v, want none", what, got.RTT, want, got.Report.RTT)
			}
		}
		after("the first probe", nil, 80*ms)
		<-e.Changed()
		after("a bad probe", func(context.Context, *Report) error { time.Sleep(400 * ms); return errors.New("bad") }, 80*ms)
		<-e.Changed()
		after("a void probe", func(_ context.Context, r *Report) error { r.RTT = ms; return syscall.EMFILE }, 80*ms)
		after("a good probe", func(context.Context, *Report) error { time.Sleep(160 * ms); return nil }, 90*ms)
		<-e.Changed()
		target := s.target("a")
		target.Interval = 20 * time.Second
		e.Set([]Target{target})
		if got := targetsOf(e.Status())["a"].RTT; got != 90*ms {
			t.Errorf("after a reload: %v", got)
		}
		after("a good probe that reports", func(_ context.Context, r *Report) error { r.RTT = 10 * ms; time.Sleep(500 * ms); return nil }, 80*ms)
		select {
		case <-e.Changed():
			t.Error("a new average is told as a change")
		default:
		}
	})
}

func TestTrackTells(t *testing.T) {
	for _, tt := range []struct {
		name         string
		before, next Track
		want         bool
	}{
		{"verdict", Track{Verdict: Up, Bad: 2}, Track{Verdict: Down, Bad: 3}, true},
		{"streak opens", Track{Verdict: Up, Good: 5}, Track{Verdict: Up, Bad: 1}, true},
		{"streak grows", Track{Verdict: Up, Bad: 1}, Track{Verdict: Up, Bad: 2}, true},
		{"streak breaks", Track{Verdict: Down, Good: 1}, Track{Verdict: Down, Bad: 1}, true},
		{"unknown streak", Track{Verdict: Unknown}, Track{Verdict: Unknown, Good: 1}, true},
		{"up goes on", Track{Verdict: Up, Good: 5}, Track{Verdict: Up, Good: 6}, false},
		{"down goes on", Track{Verdict: Down, Bad: 5, Reason: "a"}, Track{Verdict: Down, Bad: 6, Reason: "b"}, false},
	} {
		if got := tt.before.tells(tt.next); got != tt.want {
			t.Errorf("%s: %v", tt.name, got)
		}
	}
}
