package node_test

import (
	"encoding/json"
	"os"
	"strings"
	"testing"

	"github.com/miekg/dns"
)

// A reload of a file that has not changed lets go of a query log that was moved away; one without a log ends it with all
// its lines.
func TestReloadQueryLog(t *testing.T) {
	t.Parallel()
	s := newSite(t, 0)
	logged := strings.Replace(plainHeader, "[admin]", "[dns.query_log]\nfile = \"query.log\"\n[admin]", 1)
	n := s.start(logged, static, instance)
	path := s.path("query.log")
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
	eventually(t, "1", func() string { return metric(t, n, `gtmd_query_log_entries_total{result="written",sink="file"}`) })
	if err := os.Rename(path, path+".1"); err != nil {
		t.Fatal(err)
	}
	if err := s.reload(n, logged, static, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
	if err := s.reload(n, plainHeader, static, instance); err != nil {
		t.Fatal(err)
	}
	equal(t, "answer", answer(n, dns.TypeA, ""), "192.0.2.1")
	n.Close()
	lines := 0
	for _, name := range []string{path + ".1", path} {
		text, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(string(text)) {
			var keys struct{ Instance, Policy, Set, Why string }
			if err := json.Unmarshal([]byte(line), &keys); err != nil {
				t.Fatal(err)
			}
			lines++
			equal(t, "origin", strings.Join([]string{keys.Instance, keys.Policy, keys.Set, keys.Why}, ", "), "cdn-origin, Global, primary, normal")
		}
	}
	equal(t, "lines", lines, 2)
}
