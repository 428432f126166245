package node

import (
	"bytes"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

func TestStateRoundTrip(t *testing.T) {
	w := worldOf(t, region, nil, at(0), "192.0.2.1-", "192.0.2.2+", "2001:db8::1?")
	switches := []admin.Switch{{Time: at(5), Instance: "one", Policy: "Global", Family: "ipv4", From: "primary", To: "backup", Why: "failover", Reason: "x"}}
	body := w.body(map[string]healthcheck.Saved{"192.0.2.1/web": {Verdict: healthcheck.Down, Since: at(1), Bad: 3, Reason: "refused"}}, switches, at(9))
	text, err := encodeState(body)
	if err != nil {
		t.Fatal(err)
	}
	got, err := decodeState(text)
	if err != nil {
		t.Fatal(err)
	}
	check(t, "state", got, body)
	check(t, "memory", got.memory(), w.memory())
	check(t, "families", families(got), "ipv4 ipv6 ipv4 ipv6 ipv4 both both")
	again, err := encodeState(w.body(body.Targets, switches, at(9)))
	if err != nil || !bytes.Equal(text, again) {
		t.Errorf("the same state has another text: %v\n%s\n%s", err, text, again)
	}
}

func families(b stateBody) string {
	var all []string
	for _, p := range b.Policies {
		all = append(all, p.Family)
	}
	return strings.Join(all, " ")
}

func TestDecodeState(t *testing.T) {
	good, err := encodeState(stateBody{Saved: at(0)})
	if err != nil {
		t.Fatal(err)
	}
	odd := `{"policies":[{"instance":"one","policy":"Global","family":"ipv9"}]}`
	for _, row := range []struct{ text, want string }{
		{"", "read the saved state: unexpected end of JSON input"},
		{"\x00\x01", "read the saved state: invalid character '\\x00' looking for beginning of value"},
		{string(good[:len(good)/2]), "read the saved state: unexpected end of JSON input"},
		{strings.Replace(string(good), "2026", "2027", 1), "read the saved state: the checksum does not fit: it was cut or changed"},
		{`{"version":2}`, "read the saved state: it has version 2, this program reads 1"},
		{`{"version":1,"checksum":"` + checksum([]byte("[]")) + `","body":[]}`,
			"read the saved state: json: cannot unmarshal array into Go value of type node.stateBody"},
	} {
		body, err := decodeState([]byte(row.text))
		if err == nil || err.Error() != row.want {
			t.Errorf("%q: error is %v, want %s", row.text, err, row.want)
		}
		check(t, row.text, body.Targets, nil)
	}
	body, err := decodeState([]byte(`{"version":1,"checksum":"` + checksum([]byte(odd)) + `","body":` + odd + `}`))
	if err != nil {
		t.Fatal(err)
	}
	check(t, "a family that there is not", body.memory(), map[policyKey]policy.Memory{})
}

func TestReadState(t *testing.T) {
	var text bytes.Buffer
	log := slog.New(slog.NewTextHandler(&text, nil))
	dir := filepath.Join(t.TempDir(), "made", "on", "demand")
	check(t, "nothing there", readState(dir, log), stateBody{})
	check(t, "log", text.String(), "")

	body := stateBody{Saved: at(0), Targets: map[string]healthcheck.Saved{"x": {Verdict: healthcheck.Up}}}
	for range 2 { // replacing, too
		if err := writeState(dir, body); err != nil {
			t.Fatal(err)
		}
	}
	check(t, "read", readState(dir, log), body)
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 1 {
		t.Errorf("in the directory: %v, %v", entries, err)
	}
	if info, err := os.Stat(filepath.Join(dir, stateFile)); err != nil || info.Mode().Perm()&0o007 != 0 {
		t.Errorf("everybody may read the state: %v, %v", info.Mode(), err)
	}

	// A directory in the place of the file can neither be read nor replaced, but set aside.
	other := t.TempDir()
	if err := os.MkdirAll(filepath.Join(other, stateFile, "x"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := writeState(other, body); err == nil || !strings.HasPrefix(err.Error(), "write the state: rename ") {
		t.Errorf("error is %v", err)
	}
	check(t, "read", readState(other, log), stateBody{})
	if _, err := os.Stat(filepath.Join(other, stateFile)); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it was not set aside: %v", err)
	}
	if err := writeState(other, body); err != nil {
		t.Error(err)
	}
}

// FuzzDecodeState reads anything: without a panic, and what it takes it writes again.
func FuzzDecodeState(f *testing.F) {
	good, err := encodeState(stateBody{
		Saved: at(0), Targets: map[string]healthcheck.Saved{"x": {Verdict: healthcheck.Down, Bad: 2}},
		Policies: []savedPolicy{{"one", "Global", "ipv4", policy.Memory{Set: "a", Role: "primary", Since: at(0)}}},
		Switches: []admin.Switch{{From: "primary"}},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(good)
	f.Add(good[:40])
	f.Add([]byte(`{"version":1,"checksum":"","body":null}`))
	f.Fuzz(func(t *testing.T, text []byte) {
		body, err := decodeState(text)
		if err != nil {
			return
		}
		body.memory()
		again, err := encodeState(body)
		if err != nil {
			t.Fatalf("what was read cannot be written: %v", err)
		}
		if _, err := decodeState(again); err != nil {
			t.Fatalf("what was written cannot be read: %v", err)
		}
	})
}
