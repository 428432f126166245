//go:build e2e

package e2e

import (
	"encoding/base64"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// TestNight follows "A night with gtmd" in docs/operations.md: its toml block stands in the configuration, its commands are run,
// and what they print, and what the mail and the webhook say, must have the lines of the text blocks. Times and spans are any.
func TestNight(t *testing.T) {
	smtpd := need(t, "smtpd")["smtpd"]
	page, err := os.ReadFile("../docs/operations.md")
	if err != nil {
		t.Fatal(err)
	}
	_, night, found := strings.Cut(string(page), "\n## A night with gtmd\n")
	night, _, ended := strings.Cut(night, "\n## ")
	if !found || !ended {
		t.Fatal("there is no night in operations.md")
	}
	l := newLab(t, names{business: "www.example.com", access: "origin.gtm.example.com", zone: "gtm.example.com."})
	box := startOpenSMTPD(t, smtpd)
	hook := startHook(t)
	intoLab := strings.NewReplacer("192.0.2.10", test1IP, "198.51.100.10", test2IP, "localhost:25", box.address, "https://hooks.example.com", hook.URL)
	l.write(t, "webhook.secret", "whsec_"+base64.StdEncoding.EncodeToString([]byte(hookKey)))
	if err := os.Chmod(filepath.Join(l.dir, "webhook.secret"), 0o600); err != nil {
		t.Fatal(err)
	}
	steps := stepsOf(night)
	l.write(t, "gtmd.toml", strings.Replace(fill(t, "night.toml", l), "# alert group", strings.Replace(intoLab.Replace(steps[0].text),
		`name = "ops"`, "name = \"ops\"\nhold = \"1s\"", 1), 1))
	test1 := startOrigin(t, "test1", test1IP+":"+l.OriginPort, l.business)
	startOrigin(t, "test2", test2IP+":"+l.OriginPort, l.business)
	l.startGTMD(t)
	if err := os.Symlink(l.program, filepath.Join(l.dir, "gtmd")); err != nil {
		t.Fatal(err)
	}

	ran, output := 0, ""
	for _, s := range steps[1:] {
		switch s.language {
		case "sh":
			ran++
			cmd := exec.Command("sh", "-eu", "-c", intoLab.Replace(s.text))
			cmd.Env = append(os.Environ(), "GTMD_SOCKET="+l.Socket, "PATH="+l.dir+":"+os.Getenv("PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%s%v\n%s", s.text, err, out)
			}
			output = string(out)
		case "text":
			compare(t, s.text, timeless(intoLab.Replace(s.text)), timeless(output))
		case "the web server of test1 stops":
			test1.set(t, closed)
			l.gives(t, test2IP)
			output = l.told(t, box, hook, "ALERT", "address_down")
		case "the web server of test1 starts":
			test1.set(t, serving)
			eventually(t, 5*time.Second, "test1 is up", func() bool { return l.status(t).Pools[0].Addresses[0].Verdict == "up" })
		case "a mail":
			l.gives(t, test1IP)
			output = l.told(t, box, hook, "RESOLVED", "address_down")
		default:
			t.Fatalf("the night has a step %q", s.language)
		}
	}
	if ran < 9 {
		t.Errorf("the night has %d commands, want more", ran)
	}
}

// stepsOf are the code blocks of a text and the comments in between, which say what happens to the lab, in order.
func stepsOf(text string) (steps []block) {
	for _, m := range regexp.MustCompile("(?ms)^```([a-z]+)\n(.*?)^```$|^<!-- (.*?) -->$").FindAllStringSubmatch(text, -1) {
		steps = append(steps, block{m[1] + m[3], m[2]})
	}
	return steps
}

// told waits for a mail with this word in its subject, and for the webhook that says the same, and returns the mail.
func (l *lab) told(t *testing.T, box *mailbox, hook *hook, state, kind string) string {
	t.Helper()
	text := ""
	eventually(t, 15*time.Second, "a mail "+state, func() bool {
		for _, letter := range box.letters(t) {
			if strings.Contains(letter.subject, "] "+state+": "+test1IP) {
				text = letter.subject + "\n" + letter.text
			}
		}
		return text != ""
	})
	types := map[string]string{"ALERT": "alert.firing", "RESOLVED": "alert.resolved"}
	body := hook.find(t, 15*time.Second, types[state], kind)
	if !strings.Contains(text, strings.SplitN(body.Data.Text, "\n", 2)[0]) {
		t.Errorf("the webhook says %q, the mail %q", body.Data.Text, text)
	}
	return text
}

var (
	moment = regexp.MustCompile(`\b(\d{4}-\d\d-\d\d )?\d\d:\d\d:\d\d( [A-Z]{3,4})?\b`)
	span   = regexp.MustCompile(`\b(\d+d)?(\d+h)?(\d+m)?(\d+s)?\b( ago)?`)
	figure = regexp.MustCompile(`(\s)\d+\.\d(\s)`)
)

// timeless puts words in place of times, spans and milliseconds.
func timeless(text string) string {
	text = moment.ReplaceAllString(text, "TIME")
	text = span.ReplaceAllStringFunc(text, func(s string) string {
		if strings.ContainsAny(s, "dhms") {
			return "SPAN"
		}
		return s
	})
	for range 2 { // figures side by side share a space
		text = figure.ReplaceAllString(text, "${1}N$2")
	}
	return text
}
