package alert

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestAlertmanager(t *testing.T) {
	a, b := newWebReceiver(t, ""), newWebReceiver(t, "")
	var log bytes.Buffer
	o := withDefaults(MethodOptions{Kind: Alertmanager, URLs: []string{a.URL, b.URL + "/prefix/"}, Username: "me", PasswordFile: file(t, "pass")})
	s, err := NewSender(o, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Send(t.Context(), firing()); err != nil {
		t.Fatal(err)
	}
	if len(a.got) != 1 || len(b.got) != 1 || a.got[0].path != "/api/v2/alerts" || b.got[0].path != "/prefix/api/v2/alerts" ||
		a.got[0].header.Get("Authorization") != "Basic bWU6cGFzcw==" {
		t.Fatalf("requests %+v %+v", a.got, b.got)
	}
	alerts := jsonOf[[]amAlert](t, a.got[0].body)
	want := map[string]string{
		"alertname": "address_down", "key": "hk/192.0.2.1", "node": "ns1", "alert_group": "ops", "service": "gtmd", "pool": "hk", "address": "192.0.2.1",
	}
	if diff := cmp.Diff(want, alerts[0].Labels); diff != "" {
		t.Error(diff)
	}
	want = map[string]string{
		"summary": "192.0.2.1 of pool hk is down: timeout", "description": "no answer within 5s", "instances": "www, api", "reason": "timeout",
	}
	if diff := cmp.Diff(want, alerts[0].Annotations); diff != "" {
		t.Error(diff)
	}
	if d := time.Until(alerts[0].EndsAt); d < firingFor-time.Minute || d > firingFor || !alerts[0].StartsAt.Equal(began) {
		t.Errorf("from %v to %v", alerts[0].StartsAt, alerts[0].EndsAt)
	}
	// One is dead: the other has it, and the log says so. Both are: it is tried again.
	a.status = 503
	if err := s.Send(t.Context(), resolved()); err != nil || !strings.Contains(log.String(), "503") {
		t.Errorf("one of two is dead: %v, log %q", err, log.String())
	}
	over := jsonOf[[]amAlert](t, b.got[1].body)
	if diff := cmp.Diff(alerts[0].Labels, over[0].Labels); diff != "" {
		t.Errorf("what is over has other labels:\n%s", diff)
	}
	if !over[0].EndsAt.Equal(began.Add(time.Minute)) || !over[0].StartsAt.Equal(began) {
		t.Errorf("from %v to %v", over[0].StartsAt, over[0].EndsAt)
	}
	b.status = 400
	if err := s.Send(t.Context(), resolved()); class(err) != "again" {
		t.Errorf("one refuses, one is dead: %v", err)
	}
	a.status = 400
	if err := s.Send(t.Context(), resolved()); class(err) != "permanent" {
		t.Errorf("both refuse: %v", err)
	}
}

// TestAlertmanagerShapes makes alerts of what is no plain beginning or end.
func TestAlertmanagerShapes(t *testing.T) {
	now := began.Add(time.Hour)
	m := firing()
	end := resolved().Events[0]
	m.Events = append(m.Events, end)
	if got := amAlerts(m, now); len(got) != 1 || got[0].EndsAt.After(now) {
		t.Errorf("began and ended in one message: %+v", got)
	}
	notice := firing()
	notice.Events[0].Key, notice.Events[0].Kind = "", "switch"
	notice.Events = append(notice.Events, notice.Events[0])
	if got := amAlerts(notice, now); len(got) != 2 || !got[0].EndsAt.Equal(now.Add(noticeFor)) {
		t.Errorf("notices: %+v", got)
	}
	storm := firing()
	storm.Omitted = 9
	if got := amAlerts(storm, now); len(got) != 2 || got[1].Annotations["omitted"] != "9" {
		t.Errorf("a storm: %+v", got)
	}
	odd := firing()
	odd.Events[0].Fields = map[string]string{"9 lives-left": "a\xffb\x00c", "pool": "", "": "x"}
	odd.Events[0].Time = now.Add(time.Hour)
	got := amAlerts(odd, now)[0]
	if got.Annotations["_9_lives_left"] != "a\ufffdb c" || got.Annotations["_"] != "x" || got.StartsAt.After(now) {
		t.Errorf("odd: %+v", got)
	}
	if _, ok := got.Labels["pool"]; ok {
		t.Error("a label is empty")
	}
	huge := &Message{Group: "ops", Node: "ns1", Time: began}
	for i := range 10000 {
		e := firing().Events[0]
		e.Key = fmt.Sprint(i)
		huge.Events = append(huge.Events, e)
	}
	if got := amAlerts(huge, now); len(got) != 10000 {
		t.Errorf("%d alerts of 10000", len(got))
	}
}
