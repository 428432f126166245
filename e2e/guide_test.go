//go:build e2e

package e2e

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// block is a code block of a page.
type block struct{ language, text string }

// readBlocks returns the code blocks of a page, without the indentation of their fence.
func readBlocks(t *testing.T, page string) []block {
	t.Helper()
	text, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	var all []block
	for _, m := range regexp.MustCompile("(?ms)^( *)```([a-z]+)\n(.*?)^ *```$").FindAllStringSubmatch(string(text), -1) {
		all = append(all, block{m[2], strings.ReplaceAll("\n"+m[3], "\n"+m[1], "\n")[1:]})
	}
	return all
}

// join joins the blocks of one language.
func join(all []block, language string) string {
	var parts []string
	for _, b := range all {
		if b.language == language {
			parts = append(parts, b.text)
		}
	}
	return strings.Join(parts, "\n")
}

// TestGuide follows docs/cdn-with-gtm.md in the lab: its toml blocks are the configuration, its zone blocks the zones,
// its sh blocks are run, and what they print must have the lines of the text block behind, in which … stands for anything.
// Only addresses, ports and paths are replaced.
func TestGuide(t *testing.T) {
	programs := need(t, "unbound", "nginx", "dig", "curl")
	blocks := readBlocks(t, "../docs/cdn-with-gtm.md")
	l := newLab(t, names{business: "www.example.com", access: "origin.gtm.example.com", zone: "gtm.example.com."})
	intoLab := strings.NewReplacer(
		"203.0.113.53:53", l.GTMD, "[2001:db8:53::1]:53", l.GTMD6, "127.0.0.1:8553", l.Admin,
		"/run/gtmd/admin.sock", l.Socket, "/var/lib/gtmd", l.dir+"/state", "/etc/gtmd/", l.dir+"/",
		"192.0.2.10", test1IP, "198.51.100.10", test2IP, "= 80\n", "= "+l.OriginPort+"\n",
		"dig @ns1.gtm.example.com ", "dig @"+gtmdIP+" -p "+portOf(l.GTMD)+" ",
		"dig origin", "dig @"+resolverIP+" -p "+portOf(l.Resolver)+" origin",
		"dig www", "dig @"+resolverIP+" -p "+portOf(l.Resolver)+" www",
		"http://www.example.com/", "--connect-to www.example.com:80:"+l.Edge+" http://www.example.com/",
	)
	l.write(t, "gtmd.toml", intoLab.Replace(join(blocks, "toml")))
	var zones []string
	for _, b := range blocks {
		if b.language == "zone" {
			zones = append(zones, b.text)
		}
	}
	if len(zones) != 3 {
		t.Fatalf("the guide has %d zone blocks, want the zone, the delegation and the CNAME to the CDN", len(zones))
	}
	l.write(t, "gtm.example.com.zone", zones[0])

	startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	startAuthority(t, l.Authority, zones[1]+zones[2]+fmt.Sprintf("www.example.com.cdn.example.net. 300 IN A %s\n", edgeIP))
	l.startGTMD(t)
	l.startResolver(t, programs["unbound"])
	l.startEdge(t, programs["nginx"])
	eventually(t, 5*time.Second, "both origins are up", func() bool {
		s := l.status(t)
		return s.Pools[0].Addresses[0].Standing == "up" && s.Pools[1].Addresses[0].Standing == "up"
	})

	// The commands are called gtmd.
	if err := os.Symlink(l.program, filepath.Join(l.dir, "gtmd")); err != nil {
		t.Fatal(err)
	}
	env := append(os.Environ(), "GTMD_SOCKET="+l.Socket, "PATH="+l.dir+":"+os.Getenv("PATH"))
	ran := 0
	for i, b := range blocks {
		if b.language != "sh" {
			continue
		}
		ran++
		script := intoLab.Replace(b.text)
		cmd := exec.Command("sh", "-eu", "-c", script)
		cmd.Env = env
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Errorf("run of the guide:\n%s%v\n%s", script, err, out)
			continue
		}
		if i+1 < len(blocks) && blocks[i+1].language == "text" {
			compare(t, script, intoLab.Replace(blocks[i+1].text), string(out))
		}
	}
	if ran < 5 {
		t.Errorf("the guide has %d sh blocks, want more", ran)
	}
	t.Logf("%d commands of the guide do what it says", ran)
}

// compare looks for the lines of a text in an output, in order. Spaces count as one, … stands for anything.
func compare(t *testing.T, script, want, got string) {
	t.Helper()
	lines := strings.Split(strings.TrimSpace(got), "\n")
	for _, w := range strings.Split(strings.TrimSpace(want), "\n") {
		words := strings.Fields(w)
		for i, word := range words {
			words[i] = strings.ReplaceAll(regexp.QuoteMeta(word), "…", ".*")
		}
		pattern := regexp.MustCompile(`^\s*` + strings.Join(words, `\s+`) + `\s*$`)
		for len(lines) > 0 && !pattern.MatchString(lines[0]) {
			lines = lines[1:]
		}
		if len(lines) == 0 {
			t.Errorf("run of the guide:\n%swant the line (after those before it)\n%s\nin:\n%s", script, w, got)
			return
		}
		lines = lines[1:]
	}
}
