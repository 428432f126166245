package admin_test

import (
	"encoding/json"
	"errors"
	"net/http"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gtmd/admin"
)

const setBody = `{"address":"192.0.2.1","pool":"test1","state":"drain","reason":"new kernel","author":"alice","for":"30m","over":"90s","force":true}`

// TestOverrideJSON holds the JSON of overrides in golden files, and what of it the backend is asked.
func TestOverrideJSON(t *testing.T) {
	s := newService(t)
	s.both(t)
	socket := s.path("admin.sock")
	for _, address := range []string{s.Address().String(), socket} {
		r := send(t, address, "GET", "/api/v1/overrides", "")
		equal(t, "code", r.code, http.StatusOK)
		golden(t, "overrides.json", r.body)
	}

	r := send(t, socket, "POST", "/api/v1/overrides", setBody)
	equal(t, "code", r.code, http.StatusOK)
	golden(t, "override.json", r.body)
	over := admin.Duration(90 * time.Second)
	want := admin.OverrideRequest{OverrideTarget: admin.OverrideTarget{Address: "192.0.2.1", Pool: "test1"}, State: "drain", Reason: "new kernel",
		Author: "alice", For: admin.Duration(30 * time.Minute), Over: &over, Force: true}
	if diff := cmp.Diff(want, taken(t, s.backend.set)); diff != "" {
		t.Errorf("the backend is asked something else (-want +got):\n%s", diff)
	}

	r = send(t, socket, "POST", "/api/v1/overrides", `{"instance":"cdn-origin","policy":"Global","set":"backup","state":"down","reason":"not paid","author":"bob"}`)
	equal(t, "code", r.code, http.StatusOK)
	golden(t, "override_forever.json", r.body)
	taken(t, s.backend.set)

	r = send(t, socket, "POST", "/api/v1/overrides/clear", `{"id":"o1","author":"alice"}`)
	equal(t, "code", r.code, http.StatusOK)
	golden(t, "override_clear.json", r.body)
	equal(t, "request", taken(t, s.backend.cleared), admin.ClearRequest{ID: "o1", Author: "alice"})
	r = send(t, socket, "POST", "/api/v1/overrides/clear", `{"id":"o9","author":"alice"}`)
	equal(t, "nothing cleared", r.body, "{\n  \"cleared\": []\n}\n")
	taken(t, s.backend.cleared)
}

// TestOverrideRefused tells a refusal that force overcomes from the others.
func TestOverrideRefused(t *testing.T) {
	s := newService(t)
	s.both(t)
	socket := s.path("admin.sock")
	s.backend.err = &admin.EmptyError{Emptied: []admin.EmptiedPolicy{{"cdn-origin", "Global", "ipv4"}, {"cdn-origin", "Asia", "ipv6"}}}
	r := send(t, socket, "POST", "/api/v1/overrides", setBody)
	equal(t, "code", r.code, http.StatusConflict)
	equal(t, "body", failure(t, r), `refused: no set would have an available address left: instance "cdn-origin", policy "Global" (ipv4); `+
		`instance "cdn-origin", policy "Asia" (ipv6). It takes force to do it all the same`)
	taken(t, s.backend.set)
	s.backend.err = errors.New("there is no pool \"test9\"")
	for path, body := range map[string]string{"/api/v1/overrides": setBody, "/api/v1/overrides/clear": `{"all":true,"author":"alice"}`} {
		r = send(t, socket, "POST", path, body)
		equal(t, path, r.code, http.StatusUnprocessableEntity)
		equal(t, path, failure(t, r), "there is no pool \"test9\"")
	}
}

// TestOverrideBody sends what is no request: the backend is not asked.
func TestOverrideBody(t *testing.T) {
	s := newService(t)
	s.both(t)
	const (
		set   = `want a JSON body such as {"address":"192.0.2.1","state":"down","reason":"new kernel","author":"alice","for":"30m"}: `
		clear = `want a JSON body such as {"id":"o17","author":"alice"}: `
	)
	for _, row := range []struct {
		path, body string
		code       int
		want       string
	}{
		{"", "", 400, set + "EOF"},
		{"", "[]", 400, set + "json: cannot unmarshal array into Go value of type admin.OverrideRequest"},
		{"", `{"address":"192.0.2.1"`, 400, set + "unexpected EOF"},
		{"", `{"id":"o1"}`, 400, set + `json: unknown field "id"`},
		{"", setBody + "{", 400, set + "something follows it"},
		{"", setBody + "x", 400, set + "invalid character 'x' looking for beginning of value"},
		{"", `{"for":"soon"}`, 400, set + `"soon" is no duration: want one such as "30m" or "1h30m"`},
		{"", `{"for":30}`, 400, set + "json: cannot unmarshal number into Go struct field OverrideRequest.for of type admin.Duration"},
		{"", `{"reason":"` + strings.Repeat("x", 64<<10) + `"}`, 413, set + "http: request body too large"},
		{"", setBody + strings.Repeat(" ", 64<<10), 413, set + "http: request body too large"},
		{"", "{}", 400, `want a target: an address, an address of a pool, a pool, or instance, policy and set; state "": want up, down or drain; ` +
			"the reason is missing"},
		{"/clear", "", 400, clear + "EOF"},
		{"/clear", `{"state":"up"}`, 400, clear + `json: unknown field "state"`},
		{"/clear", `{"id":"` + strings.Repeat("x", 64<<10) + `"}`, 413, clear + "http: request body too large"},
		{"/clear", "{}", 400, "want a target: an address, an address of a pool, a pool, or instance, policy and set"},
	} {
		r := send(t, s.path("admin.sock"), "POST", "/api/v1/overrides"+row.path, row.body)
		equal(t, row.want, r.code, row.code)
		equal(t, row.want, failure(t, r), row.want)
	}
	equal(t, "requests to the backend", len(s.backend.set)+len(s.backend.cleared), 0)
}

// failure is the error that a reply tells.
func failure(t *testing.T, r reply) string {
	t.Helper()
	var f admin.Failure
	if err := json.Unmarshal([]byte(r.body), &f); err != nil {
		t.Errorf("%q: %v", r.body, err)
	}
	return f.Error
}

func TestOverrideCheck(t *testing.T) {
	now := at(0)
	soon, past, late := at(1), at(0), now.Add(367*24*time.Hour)
	over := func(d time.Duration) *admin.Duration { return (*admin.Duration)(&d) }
	for _, row := range []struct {
		change func(*admin.OverrideRequest)
		want   string
	}{
		{func(r *admin.OverrideRequest) {}, ""},
		{func(r *admin.OverrideRequest) { r.Pool = "test1" }, ""},
		{func(r *admin.OverrideRequest) { r.OverrideTarget = admin.OverrideTarget{Pool: "test1"} }, ""},
		{func(r *admin.OverrideRequest) {
			r.OverrideTarget = admin.OverrideTarget{Instance: "cdn-origin", Policy: "Global", Set: "backup 2"}
		}, ""},
		{func(r *admin.OverrideRequest) { r.Instance = "cdn-origin" },
			"want one target: an address or a pool, or instance, policy and set"},
		{func(r *admin.OverrideRequest) {
			r.OverrideTarget = admin.OverrideTarget{Instance: "cdn-origin", Set: "backup"}
		},
			"instance, policy and set: want all three"},
		{func(r *admin.OverrideRequest) { r.Address = "test1/192.0.2.1" },
			`address "test1/192.0.2.1": want an address or a domain name; the pool is named beside it`},
		{func(r *admin.OverrideRequest) { r.Address = "fe80::1%eth0" },
			`address "fe80::1%eth0": want an address or a domain name; the pool is named beside it`},
		{func(r *admin.OverrideRequest) { r.Address = "." }, `address "": want an address or a domain name; the pool is named beside it`},
		{func(r *admin.OverrideRequest) { r.Address = "192.0.2.1, 192.0.2.2" },
			`address "192.0.2.1, 192.0.2.2": want an address or a domain name; the pool is named beside it`},
		{func(r *admin.OverrideRequest) { r.Pool = "\x1b[2J" }, "the pool has a line break or another character that cannot be printed"},
		{func(r *admin.OverrideRequest) { r.State = "off" }, `state "off": want up, down or drain`},
		{func(r *admin.OverrideRequest) { r.Reason = " " }, "the reason is missing"},
		{func(r *admin.OverrideRequest) { r.Reason = "a\nb" }, "the reason has a line break or another character that cannot be printed"},
		{func(r *admin.OverrideRequest) { r.Reason = strings.Repeat("字", 300) }, ""},
		{func(r *admin.OverrideRequest) { r.Reason = strings.Repeat("字", 301) }, "the reason has more than 300 characters"},
		{func(r *admin.OverrideRequest) { r.Author = "" }, "the author is missing"},
		{func(r *admin.OverrideRequest) { r.For = admin.Duration(time.Second) }, ""},
		{func(r *admin.OverrideRequest) { r.For = admin.Duration(-time.Hour) }, "for -1h: want 1s to 8784h"},
		{func(r *admin.OverrideRequest) { r.For = admin.Duration(8785 * time.Hour) }, "for 8785h: want 1s to 8784h"},
		{func(r *admin.OverrideRequest) { r.Until = &soon }, ""},
		{func(r *admin.OverrideRequest) { r.Until = &past }, "until 2026-01-02T03:04:00Z: that is past"},
		{func(r *admin.OverrideRequest) { r.Until = &late }, "until 2027-01-04T03:04:00Z: want at most 8784h from now"},
		{func(r *admin.OverrideRequest) { r.For, r.Until = admin.DefaultDrain, &soon }, "for and until: want one of them"},
		{func(r *admin.OverrideRequest) { r.Over = over(0) }, "over: only a drain takes time"},
		{func(r *admin.OverrideRequest) { r.State, r.Over = "drain", over(0) }, ""},
		{func(r *admin.OverrideRequest) { r.State, r.Over = "drain", over(-1) }, "over -1ns: want 0s to 24h"},
		{func(r *admin.OverrideRequest) { r.State, r.Over = "drain", over(25*time.Hour) }, "over 25h: want 0s to 24h"},
	} {
		r := admin.OverrideRequest{OverrideTarget: admin.OverrideTarget{Address: "192.0.2.1"}, State: "down", Reason: "new kernel", Author: "alice"}
		row.change(&r)
		got := ""
		if err := r.Check(now); err != nil {
			got = err.Error()
		}
		equal(t, "problem", got, row.want)
	}
}

// TestOverrideCheckFills writes an address as the configuration does, and gives a drain its time.
func TestOverrideCheckFills(t *testing.T) {
	for given, want := range map[string]string{
		"2001:DB8:0::1": "2001:db8::1", "::ffff:192.0.2.1": "192.0.2.1", "Origin.Example.": "origin.example", "localhost": "localhost",
	} {
		r := admin.OverrideRequest{OverrideTarget: admin.OverrideTarget{Address: given}, State: "drain", Reason: "x", Author: "alice"}
		if err := r.Check(at(0)); err != nil {
			t.Errorf("%s: %v", given, err)
			continue
		}
		equal(t, given, r.Address, want)
		equal(t, "over", *r.Over, admin.DefaultDrain)
	}
}

func TestClearCheck(t *testing.T) {
	on := admin.OverrideTarget{Address: "2001:DB8::1"}
	for _, row := range []struct {
		request admin.ClearRequest
		want    string
	}{
		{admin.ClearRequest{ID: "o1"}, ""},
		{admin.ClearRequest{All: true}, ""},
		{admin.ClearRequest{OverrideTarget: on}, ""},
		{admin.ClearRequest{}, "want a target: an address, an address of a pool, a pool, or instance, policy and set"},
		{admin.ClearRequest{ID: "7"}, `id "7": want one such as o17`},
		{admin.ClearRequest{ID: "o1", All: true}, "want one of id, a target and all"},
		{admin.ClearRequest{ID: "o1", OverrideTarget: on}, "want one of id, a target and all"},
		{admin.ClearRequest{OverrideTarget: on, All: true}, "want one of id, a target and all"},
		{admin.ClearRequest{OverrideTarget: admin.OverrideTarget{Set: "backup"}}, "instance, policy and set: want all three"},
	} {
		row.request.Author = "alice"
		got := ""
		if err := row.request.Check(); err != nil {
			got = err.Error()
		}
		equal(t, "problem", got, row.want)
		if row.request.Address != "" && got == "" {
			equal(t, "address", row.request.Address, "2001:db8::1")
		}
	}
	equal(t, "author", (&admin.ClearRequest{All: true}).Check().Error(), "the author is missing")
}

func TestOverrideTargetText(t *testing.T) {
	for want, target := range map[string]admin.OverrideTarget{
		"192.0.2.1":               {Address: "192.0.2.1"},
		"192.0.2.1 of pool test1": {Address: "192.0.2.1", Pool: "test1"},
		"pool test1":              {Pool: "test1"},
		"the backup 2 set of policy Global of cdn-origin": {Instance: "cdn-origin", Policy: "Global", Set: "backup 2"},
	} {
		equal(t, "text", target.String(), want)
	}
	for text, want := range map[string]bool{"o1": true, "o17": true, "o": false, "17": false, "o1.": false, "o1.example": false, "": false, "O1": false, "o٣": false} {
		equal(t, "ID "+text, admin.IsOverrideID(text), want)
	}
}

func TestDuration(t *testing.T) {
	for given, want := range map[string]string{
		"0s": "0s", "10s": "10s", "60s": "1m", "10m": "10m", "90s": "1m30s", "1h": "1h", "100m": "1h40m", "1h0m5s": "1h0m5s", "24h": "24h", "500ms": "500ms",
	} {
		var d, again admin.Duration
		if err := d.UnmarshalText([]byte(given)); err != nil {
			t.Error(err)
		}
		equal(t, given, d.String(), want)
		text, err := d.MarshalText()
		if err := errors.Join(err, again.UnmarshalText(text)); err != nil || !reflect.DeepEqual(d, again) {
			t.Errorf("%s becomes %s: %v", d, again, err)
		}
	}
	d := admin.Duration(7)
	contains(t, d.UnmarshalText([]byte("1 day")), `"1 day" is no duration: want one such as "30m" or "1h30m"`)
	equal(t, "after an error", d, 7)
}
