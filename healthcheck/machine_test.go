package healthcheck

import (
	"cmp"
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// fed returns the machine after one more result of a target that may fall.
func (m machine) fed(result error, t *Target, now time.Time) machine {
	next, _ := m.count(result, t).turn(t, now, true)
	return next
}

// TestMachine is the table in the comment of machine, with fall 3 and rise 2.
func TestMachine(t *testing.T) {
	var (
		target = &Target{Fall: 3, Rise: 2}
		then   = time.Unix(1000, 0)
		now    = time.Unix(2000, 0)
		bad    = errors.New("new reason")
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
		if got := (machine{track: tt.before}).fed(tt.result, target, now).effective(); got != tt.after {
			t.Errorf("%s:\n got %+v\nwant %+v", tt.name, got, tt.after)
		}
		if next, held := (machine{track: tt.before}).count(tt.result, target).turn(target, now, false); held != (tt.after.Verdict == Down && tt.before.Verdict != Down) ||
			held && (next.track.Verdict != tt.before.Verdict || next.track.Since != then) {
			t.Errorf("%s, while it may not fall: %+v, held %v", tt.name, next.track, held)
		}
	}
}

// TestMachineWindow feeds results as letters, g and b, and wants the verdicts after them, u and d.
func TestMachineWindow(t *testing.T) {
	for _, tt := range []struct {
		name, results, want string
		target              Target
	}{
		{"three of five, never two in a row", "gbgbgbg", "uuuuudu", Target{Fall: 3, Rise: 1, Window: Window{3, 5}}},
		{"up again, and not undone by the old ones", "gbgbgbgbgbgb", "uuuuuduuuuud", Target{Fall: 3, Rise: 1, Window: Window{3, 5}}},
		{"too far apart", "gbggbggbggb", "uuuuuuuuuuu", Target{Fall: 3, Rise: 1, Window: Window{3, 5}}},
		{"fall is quicker", "gbb", "uud", Target{Fall: 2, Rise: 1, Window: Window{3, 5}}},
		{"unknown too", "bgb", "??d", Target{Fall: 3, Rise: 2, Window: Window{2, 3}}},
		{"rise counts from nothing", "ggbgbgg", "?uuuddu", Target{Fall: 9, Rise: 2, Window: Window{2, 3}}},
		{"all of 64", "g" + repeat("b", 64), "u" + repeat("u", 63) + "d", Target{Fall: 100, Rise: 1, Window: Window{64, 64}}},
	} {
		m, got := machine{}, ""
		for _, letter := range tt.results {
			var err error
			if letter == 'b' {
				err = errors.New("bad")
			}
			m = m.fed(err, &tt.target, time.Unix(0, 0))
			got += map[Verdict]string{Unknown: "?", Up: "u", Down: "d"}[m.visible()]
		}
		if got != tt.want {
			t.Errorf("%s:\n%s\n%s, want\n%s", tt.name, tt.results, got, tt.want)
		}
	}
}

func repeat(s string, n int) (all string) {
	for range n {
		all += s
	}
	return all
}

// TestMachineOpen tells after how many results the verdict could turn.
func TestMachineOpen(t *testing.T) {
	window := Target{Fall: 4, Rise: 2, Window: Window{3, 5}}
	for _, tt := range []struct {
		name    string
		verdict Verdict
		bad     int
		good    int
		window  uint64
		target  Target
		more    int
		open    bool
	}{
		{"nothing", Up, 0, 5, 0, window, 0, false},
		{"one bad", Up, 1, 0, 0b1, window, 2, true},
		{"fall only", Up, 1, 0, 0, Target{Fall: 4, Rise: 2}, 3, true},
		{"bad and good", Up, 0, 1, 0b10, window, 2, true},
		{"bad, good, bad", Up, 1, 0, 0b101, window, 1, true},
		{"the old one leaves", Up, 0, 4, 0b10000, window, 3, true},
		{"held", Up, 7, 0, 0b11111, window, 0, true},
		{"enough bad, then a good one", Up, 0, 1, 0b11110, window, 1, true},
		{"down", Down, 4, 0, 0, window, 0, false},
		{"down, one good", Down, 0, 1, 0, window, 1, true},
		{"unknown, one good", Unknown, 0, 1, 0, window, 1, true},
		{"unknown", Unknown, 0, 0, 0, window, 0, false},
	} {
		m := machine{track: Track{Verdict: tt.verdict, Bad: tt.bad, Good: tt.good}, window: tt.window}
		if more, open := m.open(&tt.target); more != tt.more || open != tt.open {
			t.Errorf("%s: %d, %v; want %d, %v", tt.name, more, open, tt.more, tt.open)
		}
	}
}

// modelVerdict is the slow right thing: it looks at the whole history of one result a second. It returns the verdict that
// others see, that of the results, and since when the former holds.
func modelVerdict(history []bool, t *Target) (visible, raw Verdict, since int) {
	type turn struct {
		at   int
		from Verdict
	}
	var turns []turn
	visible, raw, since = Unknown, Unknown, -1
	var held Verdict // While flapping.
	first := 0       // The first result after the last turn.
	within := int(t.Flap.Within / time.Second)
	for i, good := range history {
		streak, bad, next := 0, 0, raw
		for j := i; j >= 0 && history[j] == good; j-- {
			streak++
		}
		for j := i; j >= first && j > i-t.Window.Of; j-- {
			if !history[j] {
				bad++
			}
		}
		if good && streak >= t.Rise {
			next = Up
		} else if !good && (streak >= t.Fall || t.Window.Of > 0 && bad >= t.Window.Bad) {
			next = Down
		}
		if next != raw {
			if raw != Unknown {
				turns = append(turns, turn{i, raw})
			}
			raw, first = next, i+1
			recent := turns
			for len(recent) > 0 && i-recent[0].at >= within {
				recent = recent[1:]
			}
			if t.Flap.Turns > 0 && held == "" && len(recent) > t.Flap.Turns {
				held = recent[0].from
			}
		}
		if held != "" && i-turns[len(turns)-1].at >= within {
			held = ""
		}
		if seen := cmp.Or(held, raw); seen != visible {
			visible, since = seen, i
		}
	}
	return visible, raw, since
}

func drawTarget(t *rapid.T) *Target {
	target := &Target{Fall: rapid.IntRange(1, 5).Draw(t, "fall"), Rise: rapid.IntRange(1, 4).Draw(t, "rise")}
	if rapid.Bool().Draw(t, "window") {
		target.Window.Of = rapid.IntRange(1, 7).Draw(t, "of")
		target.Window.Bad = rapid.IntRange(1, target.Window.Of).Draw(t, "bad")
	}
	if rapid.Bool().Draw(t, "flap") {
		target.Flap = Flap{Turns: rapid.IntRange(1, 4).Draw(t, "turns"), Within: time.Duration(rapid.IntRange(2, 20).Draw(t, "within")) * time.Second}
	}
	return target
}

func TestMachineAgainstModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		target := drawTarget(t)
		history := rapid.SliceOfN(rapid.Bool(), 0, 60).Draw(t, "history")
		m := machine{track: Track{Verdict: Unknown, Since: time.Unix(-1, 0)}}
		for i, good := range history {
			var err error
			if !good {
				err = fmt.Errorf("bad %d", i)
			}
			before := m
			m = m.fed(err, target, time.Unix(int64(i), 0))
			got := m.effective()
			verdict, raw, since := modelVerdict(history[:i+1], target)
			if got.Verdict != verdict || m.track.Verdict != raw || got.Since != time.Unix(int64(since), 0) {
				t.Fatalf("after %v of %+v:\n%+v, of the results %s; want %s since %d, %s", history[:i+1], target, got, m.track.Verdict, verdict, since, raw)
			}
			if got.Bad > 0 && got.Good > 0 || m.flapping().IsZero() && (got.Reason == "") != (good && verdict != Down) {
				t.Fatalf("after %v: %+v", history[:i+1], got)
			}
			// What could turn the verdict soonest must not come later than it does.
			if more, open := before.open(target); before.track.Verdict != m.track.Verdict && before.track.Verdict != Unknown && open && more > 1 {
				t.Fatalf("after %v: turned by one result, at least %d were needed", history[:i+1], more)
			}
			// What is not told must be what a restart may lose: the same future, whatever follows.
			if !before.tells(m) {
				for _, next := range []error{nil, errors.New("bad")} {
					a, b := before.fed(next, target, time.Unix(int64(i+1), 0)), m.fed(next, target, time.Unix(int64(i+1), 0))
					if a.visible() != b.visible() {
						t.Fatalf("not told: %+v to %+v, but %v makes %s of one and %s of the other", before, m, next, a.visible(), b.visible())
					}
				}
			}
		}
	})
}
