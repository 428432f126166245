//go:build e2e

package e2e

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGuideGeography follows docs/geography.md: its toml blocks are one configuration, the databases that it names are made
// from lists by gtmd geo build, and the commands of "See what it does" do that.
func TestGuideGeography(t *testing.T) {
	const page = "../docs/geography.md"
	l := newLab(t, names{access: "near.gtm.example.com", zone: "gtm.example.com."})
	toml := join(readBlocks(t, page), "toml")
	if strings.Count(toml, "127.0.0.1:5300") != 1 {
		t.Fatalf("the configuration of %s does not listen on 127.0.0.1:5300", page)
	}
	l.write(t, "gtmd.toml", strings.Replace(toml, "127.0.0.1:5300", l.GTMD, 1)+
		"\n[admin]\nlisten = \"\"\nsocket = \""+l.Socket+"\"\n[state]\ndir = \""+l.dir+"/state\"\n")
	l.write(t, "city.csv", "cidr,country,subdivision\n203.0.113.0/24,CN,CN-GD\n192.0.2.0/24,JP,\n2001:db8:2::/48,DE,\n")
	l.write(t, "asn.csv", "cidr,asn\n203.0.113.0/24,4134\n198.51.100.0/23,64500\n")
	l.write(t, "new.csv", "cidr,country,subdivision\n203.0.113.0/24,CN,CN-BJ\n192.0.2.0/24,JP,\n2001:db8:2::/48,DE,\n")
	for _, name := range []string{"city", "asn", "new"} {
		if out, code := l.run(t, "geo", "build", "-o", name+".mmdb", name+".csv"); code != 0 {
			t.Fatalf("geo build of %s ends with %d:\n%s", name, code, out)
		}
	}
	l.startGTMD(t)

	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	_, section, found := strings.Cut(string(text), "\n## See what it does\n")
	if !found {
		t.Fatalf("%s has no section %q", page, "See what it does")
	}
	section, _, _ = strings.Cut(section, "\n## ")
	if err := os.Symlink(l.program, filepath.Join(l.dir, "gtmd")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GTMD_SOCKET="+l.Socket, "PATH="+l.dir+":"+os.Getenv("PATH"))
	commands := regexp.MustCompile(`(?m)^    (gtmd .*)$`).FindAllStringSubmatch(section, -1)
	// By the first words of the command: what it must say, in any order.
	wants := map[string][]string{
		"gtmd explain near.gtm.example.com": {"aliyun_r_cn-beijing", "Office", "telecom", "asn.mmdb", "203.0.113.0/24", "192.0.2.2"},
		"gtmd check --coverage":             {"nearest", "fastest", "Office", "China Telecom", `\d %`, "IPV6"},
		"gtmd geo lookup":                   {"city.mmdb", "asn.mmdb", "CN-GD", "AS4134", "203.0.113.0/24"},
		"gtmd geo diff city.mmdb new.mmdb":  {"line changed", "cn_region_guangdong -> cn_region_beijing"},
		"gtmd lines --search guangdong":     {"cn_telecom_guangdong", "cn_region_guangdong", "广东"},
	}
	for _, m := range commands {
		cmd := exec.Command("sh", "-eu", "-c", m[1])
		cmd.Dir, cmd.Env = l.dir, env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("%s: %v\n%s", m[1], err, out)
		}
		known := false
		for command, patterns := range wants {
			if !strings.HasPrefix(m[1], command) {
				continue
			}
			known = true
			delete(wants, command)
			for _, pattern := range patterns {
				if !regexp.MustCompile(pattern).Match(out) {
					t.Errorf("%s: want %q in:\n%s", m[1], pattern, out)
				}
			}
		}
		if !known {
			t.Errorf("this test does not know what %q should say", m[1])
		}
	}
	for command := range wants {
		t.Errorf("%s does not show %q", page, command)
	}
}
