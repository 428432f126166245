package config

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gtmd/alert"
)

// alertGroup is a group, in 5 lines.
const alertGroup = `
[[alert_group]]
name = "ops"
method = [{ kind = "webhook", url = "https://hooks.example.com/gtmd" }, { name = "all", kind = "alertmanager", urls = ["http://192.0.2.9:9093"] }]
`

// withAlerts is an instance with the lines given, the first of which is line 26, and then those after it.
func withAlerts(lines, after string) string {
	return policies("policy = [{ name = \"G\", sources = [\"global\"], primary = { pools = [\"p4\"] } }]\n" + lines + "\n" + after)
}

func TestAlertErrors(t *testing.T) {
	for _, test := range []struct{ name, text, want string }{
		{"unknown group", withAlerts(`alert_groups = ["opps"]`, alertGroup),
			`f.toml:26:17: there is no alert group "opps": did you mean "ops"?`},
		{"no groups at all", withAlerts(`alert_groups = "ops"`, ""),
			`f.toml:26:1: there is no alert group "ops": define it in [[alert_group]]`},
		{"twice", withAlerts(`alert_groups = ["ops", "ops"]`, alertGroup),
			`f.toml:26:24: alert group "ops" is in this list already: want it once`},
		{"both ways", withAlerts(`alert_groups = ["ops"]`, "[[instance.alert]]\ngroup = \"ops\"\n"+alertGroup),
			`f.toml:28:1: alert group "ops" is in alert_groups already, and told of everything: remove it there or here`},
		{"unknown event of an instance", withAlerts("", "[[instance.alert]]\ngroup = \"ops\"\nevents = [\"switched\"]\n"+alertGroup),
			`f.toml:29:11: "switched" is unknown: want "address_down", "address_up", "set_unavailable", "set_available", "switch", "fail_open", "fail_open_end", "instance_unconfigured", "instance_configured", "prober_blind", "prober_sees", "config_rejected", "config_loaded", "geo_database_stale", "geo_database_fresh", "certificate_expiring" or "certificate_renewed"; did you mean "switch"?`},
		{"an end alone", withAlerts("", "[[instance.alert]]\ngroup = \"ops\"\nevents = [\"address_up\"]\n"+alertGroup),
			`f.toml:29:11: "address_up" is the end of "address_down", and is told to those who were told of that: add "address_down"`},
		{"unknown method", withAlerts("", "[[instance.alert]]\ngroup = \"ops\"\nmethods = [\"webhok\"]\n"+alertGroup),
			`f.toml:29:12: alert group "ops" has no method "webhok": want "webhook" or "all"; did you mean "webhook"?`},
		{"unknown event of a group", withAlerts("", strings.Replace(alertGroup, "name = \"ops\"", "name = \"ops\"\nevents = [\"address_dwn\"]", 1)),
			`f.toml:30:11: events[0] in [[alert_group]] "ops": "address_dwn" is unknown: want "address_down", "address_up", "set_unavailable", "set_available", "switch", "fail_open", "fail_open_end", "instance_unconfigured", "instance_configured", "prober_blind", "prober_sees", "config_rejected", "config_loaded", "geo_database_stale", "geo_database_fresh", "certificate_expiring" or "certificate_renewed"; did you mean "address_down"?`},
		{"two groups of one name", withAlerts("", alertGroup+alertGroup),
			`f.toml:33:1: alert group "ops" is already defined at f.toml:29:1`},
		{"two methods of one kind", withAlerts("", strings.Replace(alertGroup, `name = "all", kind = "alertmanager", urls = ["http://192.0.2.9:9093"]`, `kind = "webhook", url = "https://hooks.example.com/2"`, 1)),
			`f.toml:30:75: method "webhook" is already defined at f.toml:30:13`},
		{"no methods", withAlerts("", "[[alert_group]]\nname = \"ops\"\n"),
			`f.toml:27:1: missing key "method" in [[alert_group]] "ops"`},
		{"quiet", withAlerts("", strings.Replace(alertGroup, "name = \"ops\"", "name = \"ops\"\nquiet = \"23-7\"", 1)),
			`f.toml:30:1: quiet in [[alert_group]] "ops": "23-7" is no time of day: want one such as "23:00-07:00" or "Sat,Sun 00:00-24:00"`},
		{"zone", withAlerts("", strings.Replace(alertGroup, "name = \"ops\"", "name = \"ops\"\ntime_zone = \"Asia/Peking\"", 1)),
			`f.toml:30:1: time_zone in [[alert_group]] "ops": "Asia/Peking" is no time zone: want one such as "Asia/Shanghai", "UTC" or "Local"`},
		{"repeat", withAlerts("", strings.Replace(alertGroup, "name = \"ops\"", "name = \"ops\"\nrepeat = \"5s\"", 1)),
			`f.toml:30:1: repeat in [[alert_group]] "ops": 5s is out of range: want 0s for never, or at least 1m`},
		{"hold", withAlerts("", strings.Replace(alertGroup, "name = \"ops\"", "name = \"ops\"\nhold = 30", 1)),
			`f.toml:30:1: hold in [[alert_group]] "ops": want a duration with its unit, such as "30s", not the integer 30`},
		{"secret file", withAlerts("", strings.Replace(alertGroup, `url = "https://hooks.example.com/gtmd"`, `url_file = "gone"`, 1)), "url_file"},
	} {
		_, err := LoadText("f.toml", []byte(test.text))
		switch {
		case err == nil:
			t.Errorf("%s: no error", test.name)
		case test.name == "secret file":
			if !strings.HasPrefix(err.Error(), `f.toml:30:`) || !strings.Contains(err.Error(), "gone") {
				t.Errorf("%s: %v", test.name, err)
			}
		case err.Error() != test.want:
			t.Errorf("%s:\n got %v\nwant %s", test.name, err, test.want)
		}
	}
}

func TestAlertChoices(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "hook.url"), []byte("https://hooks.example.com/secret\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	second := strings.NewReplacer(`name = "i"`, `name = "%"`, `access_domain = "a.`, `access_domain = "%.`)
	_, one, _ := strings.Cut(withAlerts("", ""), preamble)
	text := withAlerts(`alert_groups = ["ops"]`, "[[instance.alert]]\ngroup = \"duty\"\nevents = [\"switch\", \"fail_open\"]\nmethods = [\"chat\"]\nresolved = false\n") +
		strings.ReplaceAll(second.Replace(one), "%", "quiet") + "alert_groups = []\n" + strings.ReplaceAll(second.Replace(one), "%", "plain") +
		alertGroup + "[[alert_group]]\nname = \"duty\"\nmethod = { name = \"chat\", kind = \"slack\", url_file = \"hook.url\" }\n"
	c, err := LoadText(filepath.Join(dir, "f.toml"), []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]alert.Choice{
		"i": {
			{Group: "ops", Resolved: true},
			{Group: "duty", Events: []alert.Kind{"switch", "fail_open"}, Methods: []string{"chat"}},
		},
		"quiet": {},
		"plain": nil,
	}
	if diff := cmp.Diff(want, c.AlertChoices()); diff != "" {
		t.Errorf("choices (-want +got):\n%s", diff)
	}
	if got := c.File.AlertGroups[1].Methods[0].URLFile; got != filepath.Join(dir, "hook.url") {
		t.Errorf("url_file is %s", got)
	}
}
