package healthcheck

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestEngineSaved(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		since := time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC)
		saved := map[string]Saved{
			"up":      {Verdict: Up, Since: since, Bad: 2, Reason: "bad"},
			"unknown": {Verdict: Unknown, Since: since, Bad: 1, Reason: "bad"},
			"odd":     {Verdict: "odd"},
			"minus":   {Verdict: Up, Bad: -1},
			"both":    {Verdict: Up, Bad: 1, Good: 1},
		}
		e := startEngine(t, EngineOptions{Saved: saved})
		saved["up"] = Saved{}
		bad := newScript(func(context.Context, *Report) error { return errors.New("bad") })
		var targets []Target
		for _, id := range []string{"up", "unknown", "odd", "minus", "both"} {
			targets = append(targets, bad.target(id))
		}
		e.Set(targets)
		now := time.Now()
		want := map[string]Saved{
			"up":      {Verdict: Up, Since: since, Bad: 2, Reason: "bad"},
			"unknown": {Verdict: Unknown, Since: since, Bad: 1, Reason: "bad"},
			"odd":     {Verdict: Unknown, Since: now},
			"minus":   {Verdict: Unknown, Since: now},
			"both":    {Verdict: Unknown, Since: now},
		}
		if diff := cmp.Diff(want, e.Status().Saved()); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
		time.Sleep(eagerStep + jitterOf(eagerStep))
		if got := targetsOf(e.Status())["up"]; got.Verdict != Down || got.Bad != 3 {
			t.Errorf("the streak does not go on: %+v", got)
		}
		e.Set(nil)
		e.Set(targets[:1])
		if got := targetsOf(e.Status())["up"].Verdict; got != Unknown {
			t.Errorf("what was saved is used twice: %s", got)
		}
	})
}

func TestSavedJSON(t *testing.T) {
	saved := Saved{Verdict: Down, Since: time.Date(2020, 1, 2, 3, 4, 5, 0, time.UTC), Bad: 3, Reason: "connect: connection refused"}
	text, err := json.Marshal(saved)
	want := `{"verdict":"down","since":"2020-01-02T03:04:05Z","bad":3,"reason":"connect: connection refused"}`
	if err != nil || string(text) != want {
		t.Errorf("%s, %v", text, err)
	}
	var again Saved
	if err := json.Unmarshal(text, &again); err != nil || !cmp.Equal(again, saved) {
		t.Errorf("%+v, %v", again, err)
	}
}
