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

// TestTrackNext is the table in the comment of Track.Next, with fall 3 and rise 2.
func TestTrackNext(t *testing.T) {
	const fall, rise = 3, 2
	var (
		then = time.Unix(1000, 0)
		now  = time.Unix(2000, 0)
		bad  = errors.New("new reason")
	)
	for _, tt := range []struct {
		name   string
		before Track
		result error
		after  Track
	}{
		{"unknown bad below fall", Track{Unknown, then, 1, 0, "old"}, bad, Track{Unknown, then, 2, 0, "new reason"}},
		{"unknown bad fall", Track{Unknown, then, 2, 0, "old"}, bad, Track{Down, now, 3, 0, "new reason"}},
		{"unknown good below rise", Track{Unknown, then, 2, 0, "old"}, nil, Track{Unknown, then, 0, 1, ""}},
		{"unknown good rise", Track{Unknown, then, 0, 1, ""}, nil, Track{Up, now, 0, 2, ""}},
		{"up bad below fall", Track{Up, then, 0, 7, ""}, bad, Track{Up, then, 1, 0, "new reason"}},
		{"up bad fall", Track{Up, then, 2, 0, "old"}, bad, Track{Down, now, 3, 0, "new reason"}},
		{"up bad, fall was lowered", Track{Up, then, 9, 0, "old"}, bad, Track{Down, now, 10, 0, "new reason"}},
		{"up good", Track{Up, then, 0, 7, ""}, nil, Track{Up, then, 0, 8, ""}},
		{"up good ends a streak", Track{Up, then, 2, 0, "old"}, nil, Track{Up, then, 0, 1, ""}},
		{"down bad", Track{Down, then, 7, 0, "old"}, bad, Track{Down, then, 8, 0, "new reason"}},
		{"down bad ends a streak", Track{Down, then, 0, 1, "old"}, bad, Track{Down, then, 1, 0, "new reason"}},
		{"down good below rise", Track{Down, then, 7, 0, "old"}, nil, Track{Down, then, 0, 1, "old"}},
		{"down good rise", Track{Down, then, 0, 1, "old"}, nil, Track{Up, now, 0, 2, ""}},
		{"zero value bad", Track{}, bad, Track{Unknown, time.Time{}, 1, 0, "new reason"}},
		{"zero value good", Track{}, nil, Track{Unknown, time.Time{}, 0, 1, ""}},
	} {
		if got := tt.before.Next(tt.result, fall, rise, now); got != tt.after {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.after)
		}
	}
	if got := (Track{}).Next(bad, 1, 1, now).Verdict; got != Down {
		t.Errorf("fall 1: one bad result gives %s", got)
	}
	if got := (Track{}).Next(nil, 1, 1, now).Verdict; got != Up {
		t.Errorf("rise 1: one good result gives %s", got)
	}
}

// modelVerdict is the slow right thing: it looks at the whole history for the last streak that was long enough.
func modelVerdict(history []bool, fall, rise int) (verdict Verdict, since int) {
	verdict, since = Unknown, -1
	for end := 1; end <= len(history); end++ {
		allOf := func(n int, good bool) bool {
			if end < n {
				return false
			}
			for _, h := range history[end-n : end] {
				if h != good {
					return false
				}
			}
			return true
		}
		if verdict != Down && allOf(fall, false) {
			verdict, since = Down, end-1
		}
		if verdict != Up && allOf(rise, true) {
			verdict, since = Up, end-1
		}
	}
	return verdict, since
}

func TestTrackAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		fall, rise := rapid.IntRange(1, 5).Draw(t, "fall"), rapid.IntRange(1, 5).Draw(t, "rise")
		history := rapid.SliceOfN(rapid.Bool(), 0, 40).Draw(t, "history")
		track := Track{Verdict: Unknown, Since: time.Unix(-1, 0)}
		for i, good := range history {
			var err error
			if !good {
				err = errors.New("bad")
			}
			before := track
			track = track.Next(err, fall, rise, time.Unix(int64(i), 0))
			verdict, since := modelVerdict(history[:i+1], fall, rise)
			if track.Verdict != verdict || track.Since != time.Unix(int64(since), 0) {
				t.Fatalf("after %v: %+v, want %s since %d", history[:i+1], track, verdict, since)
			}
			if track.Bad > 0 && track.Good > 0 || (track.Reason == "") != (good && verdict != Down) {
				t.Fatalf("after %v: %+v", history[:i+1], track)
			}
			// What is not told must be what a restart may lose: the same future, whatever follows.
			if !before.tells(track) {
				for _, next := range []error{nil, errors.New("bad")} {
					a, b := before.Next(next, fall, rise, time.Time{}), track.Next(next, fall, rise, time.Time{})
					if a.Verdict != b.Verdict {
						t.Fatalf("not told: %+v to %+v, but %v makes %s of one and %s of the other", before, track, next, a.Verdict, b.Verdict)
					}
				}
			}
		}
	})
}

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
		if got := e.Status().Targets["a"].RTT; got != 0 {
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
			got := e.Status().Targets["a"]
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
		if got := e.Status().Targets["a"].RTT; got != 90*ms {
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
