package deploy

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestGeoScript runs geo/debian.sh with a real gtmd, a real package of Debian's format and, in place of the archive of Debian, an
// apt-get that copies the package.
func TestGeoScript(t *testing.T) {
	for _, program := range []string{"sh", "dpkg-deb", "go"} {
		if _, err := exec.LookPath(program); err != nil {
			t.Skipf("there is no %s", program)
		}
	}
	dir := t.TempDir()
	bin := filepath.Join(dir, "bin")
	if out, err := exec.Command("go", "build", "-o", filepath.Join(bin, "gtmd"), "../cmd/gtmd").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	archive := filepath.Join(dir, "tor-geoipdb_1_all.deb")
	writeFile(t, filepath.Join(bin, "apt-get"), "#!/bin/sh\n[ \"$*\" = '-qq download tor-geoipdb' ] && cp '"+archive+"' .\n", 0o755)

	published := func(geoip string) {
		t.Helper()
		tree := t.TempDir()
		writeFile(t, filepath.Join(tree, "DEBIAN/control"),
			"Package: tor-geoipdb\nVersion: 1\nArchitecture: all\nMaintainer: nobody <nobody@example.com>\nDescription: test\n", 0o644)
		header := "# Generated: Thu, 25 Jun 2026 04:33:59 GMT\n"
		writeFile(t, filepath.Join(tree, "usr/share/tor/geoip"), header+geoip, 0o644)
		writeFile(t, filepath.Join(tree, "usr/share/tor/geoip6"), header+"2001:db8::,2001:db8::ffff,JP\n", 0o644)
		if out, err := exec.Command("dpkg-deb", "--root-owner-group", "-b", tree, archive).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
	}
	output := filepath.Join(dir, "lib")
	if err := os.Mkdir(output, 0o700); err != nil {
		t.Fatal(err)
	}
	target := filepath.Join(output, "country.mmdb")
	scratch := filepath.Join(dir, "scratch")
	if err := os.Mkdir(scratch, 0o700); err != nil {
		t.Fatal(err)
	}
	script := func(target string) (string, error) {
		c := exec.Command("sh", "geo/debian.sh", target)
		c.Env = []string{"PATH=" + bin + ":" + os.Getenv("PATH"), "TMPDIR=" + scratch}
		out, err := c.CombinedOutput()
		return string(out), err
	}
	// left is what lies beside the database, and what was left in the directory for temporary files.
	left := func() string {
		t.Helper()
		var names []string
		for _, d := range []string{output, scratch} {
			entries, err := os.ReadDir(d)
			if err != nil {
				t.Fatal(err)
			}
			for _, e := range entries {
				info, err := e.Info()
				if err != nil {
					t.Fatal(err)
				}
				names = append(names, fmt.Sprint(e.Name(), " ", info.Mode()))
			}
		}
		return strings.Join(names, ", ")
	}
	step := func(name string, good bool, want, files string) {
		t.Helper()
		out, err := script(target)
		if (err == nil) != good || !regexp.MustCompile("(?s)^"+want+"$").MatchString(out) {
			t.Errorf("%s: %v\n%s\nwant %s", name, err, out, want)
		}
		if got := left(); got != files {
			t.Errorf("%s: left %s, want %s", name, got, files)
		}
	}

	published("16777216,16777471,AU\n")
	step("first", true, `.*gtmd-Country of 2026-06-25.*country\.mmdb\.new: ok\n.*`+regexp.QuoteMeta(target)+` is new\n`, "country.mmdb -rw-r--r--")
	step("the same package", true, `.*`+regexp.QuoteMeta(target)+` is up to date\n`, "country.mmdb -rw-r--r--")
	if err := os.Chmod(target, 0o640); err != nil {
		t.Fatal(err)
	}
	published("16777216,33554431,CN\n")
	step("a new package", true, `.*unknown -> CN +0\.39 %.*AU -> CN +< 0\.01 %.* is new\n`, "country.mmdb -rw-r-----")
	published("16777216,16777471,AUS\n")
	step("a damaged package", false, `\S+geoip:2: country "AUS": want two letters.*`, "country.mmdb -rw-r-----")
	writeFile(t, archive, "not a package", 0o644)
	step("no package", false, `dpkg-deb: error: .*`, "country.mmdb -rw-r-----")
	if err := os.Remove(archive); err != nil {
		t.Fatal(err)
	}
	step("no archive", false, `.*debian\.sh: apt-get cannot fetch tor-geoipdb: does "apt-get update" work\?\n`, "country.mmdb -rw-r-----")
	published("16777216,16777471,AU\n")
	writeFile(t, target, "damaged", 0o640)
	step("a damaged database", true, `.*the old `+regexp.QuoteMeta(target)+` cannot be compared; it is replaced\n.* is new\n`, "country.mmdb -rw-r-----")
	if out, err := script("--target"); err == nil || out != "debian.sh: there is no option --target: want the file of the database, or nothing\n" {
		t.Errorf("an option: %v\n%s", err, out)
	}
	if out, err := script("--help"); err != nil || !strings.Contains(out, "\n    debian.sh [FILE] ") {
		t.Errorf("help: %v\n%s", err, out)
	}
	if out, err := script(dir + "/nowhere/x.mmdb"); err == nil || out != "debian.sh: there is no directory "+dir+"/nowhere for "+dir+"/nowhere/x.mmdb\n" {
		t.Errorf("no directory: %v\n%s", err, out)
	}
}

func writeFile(t *testing.T, name, text string, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), mode); err != nil {
		t.Fatal(err)
	}
}

func TestGeoUnitsByTheStandardsOfSystemd(t *testing.T) {
	analyze, err := exec.LookPath("systemd-analyze")
	if err != nil {
		t.Skip("systemd-analyze is not installed")
	}
	const script = "/usr/share/gtmd/geo/debian.sh" // where README.md puts it
	dir := t.TempDir()
	for _, name := range []string{"gtmd-geo.service", "gtmd-geo.timer", "README.md"} {
		text, err := os.ReadFile("geo/" + name)
		if err != nil {
			t.Fatal(err)
		}
		if name == "README.md" && strings.Contains(string(text), script) && !strings.Contains(string(text), "install -D -m 755 debian.sh "+script) {
			t.Errorf("README.md does not make the directory of %s", script)
		}
		if name != "gtmd-geo.timer" && !strings.Contains(string(text), script) {
			t.Errorf("%s has no %s", name, script)
		}
		writeFile(t, filepath.Join(dir, name), strings.ReplaceAll(string(text), script, "/bin/true"), 0o644)
	}
	for _, args := range [][]string{
		{"verify", "--man=no", filepath.Join(dir, "gtmd-geo.service"), filepath.Join(dir, "gtmd-geo.timer")},
		{"security", "--offline=true", "--threshold=40", filepath.Join(dir, "gtmd-geo.service")}, // exposure 4.0 of 10, less is better
	} {
		out, err := exec.Command(analyze, args...).CombinedOutput()
		if err != nil || args[0] == "verify" && strings.Contains(string(out), dir) {
			t.Errorf("systemd-analyze %s: %v\n%s", args[0], err, out)
		}
	}
}
