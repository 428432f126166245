//go:build e2e

package e2e

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"
)

// hookKey is the key that webhooks of these tests are signed with.
const hookKey = "0123456789abcdefghijklmnopqrstuv"

// hook is a receiver of webhooks that checks signatures (Standard Webhooks).
type hook struct {
	*httptest.Server
	mu     sync.Mutex // guards all below
	bodies []hookBody
	wrong  []string
	isDead bool // it answers 503
}

// hookBody is what docs/alert-methods.md says of the JSON.
type hookBody struct {
	Type string `json:"type"`
	Data struct {
		ID, Title, Text string
		Events          []struct {
			Kind, Key, Text string
			Fields          map[string]string
		}
	} `json:"data"`
}

func startHook(t *testing.T) *hook {
	h := &hook{}
	h.Server = httptest.NewServer(h)
	t.Cleanup(func() {
		h.Close()
		h.mu.Lock()
		defer h.mu.Unlock()
		if len(h.wrong) > 0 {
			t.Errorf("the webhook got what is not right: %q", h.wrong)
		}
	})
	return h
}

func (h *hook) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	text, err := io.ReadAll(r.Body)
	mac := hmac.New(sha256.New, []byte(hookKey))
	fmt.Fprintf(mac, "%s.%s.%s", r.Header.Get("webhook-id"), r.Header.Get("webhook-timestamp"), text)
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.isDead {
		w.WriteHeader(http.StatusServiceUnavailable)
		return
	}
	var body hookBody
	switch {
	case err != nil:
		h.wrong = append(h.wrong, err.Error())
	case r.Header.Get("webhook-signature") != "v1,"+base64.StdEncoding.EncodeToString(mac.Sum(nil)):
		h.wrong = append(h.wrong, "the signature "+r.Header.Get("webhook-signature"))
	case json.Unmarshal(text, &body) != nil || body.Data.ID != r.Header.Get("webhook-id"):
		h.wrong = append(h.wrong, "the body "+string(text))
	}
	h.bodies = append(h.bodies, body)
}

// setDead makes it answer 503, or not any more.
func (h *hook) setDead(isDead bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.isDead = isDead
}

// find waits for the first message of a type with an event of a kind.
func (h *hook) find(t *testing.T, within time.Duration, kind, of string) hookBody {
	t.Helper()
	var found hookBody
	eventually(t, within, "a webhook "+kind+" of "+of, func() bool {
		h.mu.Lock()
		defer h.mu.Unlock()
		for _, body := range h.bodies {
			for _, e := range body.Data.Events {
				if body.Type == kind && e.Kind == of {
					found = body
					return true
				}
			}
		}
		return false
	})
	return found
}

// count is how often each message has come.
func (h *hook) count() map[string]int {
	h.mu.Lock()
	defer h.mu.Unlock()
	n := map[string]int{}
	for _, body := range h.bodies {
		n[body.Data.ID]++
	}
	return n
}

// startAlertmanager runs Prometheus Alertmanager and returns its URL.
func startAlertmanager(t *testing.T, l *lab, program string) string {
	t.Helper()
	address := "127.0.0.1:" + freePort(t, "127.0.0.1")
	config := l.write(t, "alertmanager.yml", "route: {receiver: nobody}\nreceivers: [{name: nobody}]\n")
	start(t, l.dir, program, "--config.file="+config, "--storage.path="+l.dir+"/alertmanager", "--cluster.listen-address=", "--web.listen-address="+address)
	url := "http://" + address
	eventually(t, 15*time.Second, "Alertmanager is ready", func() bool {
		response, err := http.Get(url + "/-/ready")
		if err == nil {
			response.Body.Close()
		}
		return err == nil && response.StatusCode == http.StatusOK
	})
	return url
}

// activeAlert is an alert that Alertmanager shows.
type activeAlert struct{ Labels, Annotations map[string]string }

// activeAlerts are the alerts that Alertmanager shows, by amtool.
func activeAlerts(t *testing.T, amtool, url string) []activeAlert {
	t.Helper()
	out, err := exec.Command(amtool, "alert", "query", "--alertmanager.url="+url, "-o", "json").Output()
	if err != nil {
		t.Fatalf("amtool alert query: %v", err)
	}
	var alerts []activeAlert
	if err := json.Unmarshal(out, &alerts); err != nil {
		t.Fatalf("amtool alert query: %v in %s", err, out)
	}
	return alerts
}

// hookMethod is the method of a webhook, and writes its secret.
func (l *lab) hookMethod(t *testing.T, h *hook) string {
	secret := l.write(t, "hook.secret", "whsec_"+base64.StdEncoding.EncodeToString([]byte(hookKey))+"\n")
	return fmt.Sprintf("[[alert_group.method]]\nkind = \"webhook\"\nurl = %q\nsecret_file = %q\n", h.URL+"/gtmd", secret)
}

// TestAlertStory has an origin die and come back: people are told by mail, by a webhook and by Alertmanager, with the reason, and
// that it is over.
func TestAlertStory(t *testing.T) {
	programs := need(t, "smtpd", "prometheus-alertmanager", "amtool")
	l := newLab(t, names{business: "www.shop.test", zone: "gtm.test"})
	box, h, am := startOpenSMTPD(t, programs["smtpd"]), startHook(t), startAlertmanager(t, l, programs["prometheus-alertmanager"])
	s := newService("www", "web", test2IP, test1IP)
	primary := startOrigin(t, "test1", net.JoinHostPort(test1IP, l.OriginPort), l.business)
	startOrigin(t, "test2", net.JoinHostPort(test2IP, l.OriginPort), l.business)
	l.configureServices(t, []service{s}, webCheck(l.OriginPort, 200*time.Millisecond, 100*time.Millisecond, 2),
		"[[alert_group]]\nname = \"ops\"\ngroup_wait = \"300ms\"\nhold = \"0s\"\n",
		fmt.Sprintf("[[alert_group.method]]\nkind = \"email\"\nserver = %q\ntls = \"none\"\nfrom = \"gtmd@ns1.shop.test\"\nto = [\"ops@shop.test\"]\n", box.address),
		l.hookMethod(t, h), fmt.Sprintf("[[alert_group.method]]\nkind = \"alertmanager\"\nurls = [%q]\n", am))
	l.startGTMD(t)
	eventually(t, 10*time.Second, "the primary serves", func() bool {
		got, err := ask(l.GTMD, s.domain())
		return err == nil && inOrder(got) == test1IP
	})

	primary.set(t, closed)
	firing := box.find(t, 20*time.Second, "[gtmd] ALERT", test1IP)
	if !strings.Contains(firing.text, "refused") {
		t.Errorf("the mail does not say why:\n%s", firing.text)
	}
	if firing.Get("Auto-Submitted") != "auto-generated" || firing.Get("To") != "<ops@shop.test>" {
		t.Errorf("header %v", firing.Header)
	}
	down := h.find(t, 10*time.Second, "alert.firing", "address_down")
	if text, _ := json.Marshal(down); !strings.Contains(string(text), "refused") || !strings.Contains(string(text), test1IP) {
		t.Errorf("the webhook does not say why: %s", text)
	}
	eventually(t, 10*time.Second, "Alertmanager has the alert", func() bool {
		for _, a := range activeAlerts(t, programs["amtool"], am) {
			if a.Labels["alertname"] == "address_down" && strings.Contains(a.Annotations["summary"]+a.Labels["key"], test1IP) {
				return true
			}
		}
		return false
	})

	primary.set(t, serving)
	over := box.find(t, 20*time.Second, "[gtmd] RESOLVED", test1IP)
	if thread := firing.Get("References"); thread == "" || over.Get("References") != thread || over.Get("In-Reply-To") != thread ||
		over.Get("Message-Id") == firing.Get("Message-Id") {
		t.Errorf("the mails are no thread: %v and %v", firing.Header, over.Header)
	}
	h.find(t, 10*time.Second, "alert.resolved", "address_down")
	eventually(t, 10*time.Second, "Alertmanager has no alert about the address", func() bool {
		for _, a := range activeAlerts(t, programs["amtool"], am) {
			if a.Labels["alertname"] == "address_down" {
				return false
			}
		}
		return true
	})
	for id, n := range h.count() {
		if n != 1 {
			t.Errorf("message %s came %d times", id, n)
		}
	}
}

// TestAlertSecureMail sends a test message to a mail server that wants STARTTLS and a password.
func TestAlertSecureMail(t *testing.T) {
	need(t, "aiosmtpd")
	l := newLab(t, names{business: "www.shop.test", zone: "gtm.test"})
	box := startMailServer(t, l, "gtmd", "a secret/+=")
	s := newService("www", "web", test2IP, test1IP)
	password := l.write(t, "mail.password", "a secret/+=\n")
	group := func(password string) string {
		return fmt.Sprintf("[[alert_group]]\nname = \"ops\"\n[[alert_group.method]]\nkind = \"email\"\nserver = %q\nca_file = %q\nauth = \"plain\"\nusername = \"gtmd\"\n"+
			"password_file = %q\nfrom = \"gtmd@ns1.shop.test\"\nto = [\"ops@shop.test\", \"boss@shop.test\"]\n", box.address, l.dir+"/cert.pem", password)
	}
	l.configureServices(t, []service{s}, webCheck(l.OriginPort, time.Second, 500*time.Millisecond, 2), group(password))
	l.startGTMD(t)
	if out, code := l.run(t, "alert", "test", "ops"); code != 0 {
		t.Fatalf("gtmd alert test: exit code %d\n%s", code, out)
	}
	box.find(t, 10*time.Second, "[gtmd] TEST")
	eventually(t, 10*time.Second, "a mail for each of two people", func() bool { return len(box.letters(t)) == 2 })

	// With a wrong password the test says no, and does not tell the password.
	const wrong = "a wrong password"
	l.configureServices(t, []service{s}, webCheck(l.OriginPort, time.Second, 500*time.Millisecond, 2), group(l.write(t, "wrong.password", wrong)))
	if out, code := l.run(t, "reload"); code != 0 {
		t.Fatalf("gtmd reload: exit code %d\n%s", code, out)
	}
	if out, code := l.run(t, "alert", "test", "ops"); code != 1 || !strings.Contains(out, "535") || strings.Contains(out, wrong) {
		t.Errorf("gtmd alert test with a wrong password: exit code %d\n%s", code, out)
	}
	if log := l.gtmd.output(t); strings.Contains(log, wrong) || strings.Contains(log, "a secret") {
		t.Errorf("the log has a password:\n%s", log)
	}
}

// TestAlertReceiverDead keeps messages for a receiver that is dead when gtmd is restarted, and delivers each once.
func TestAlertReceiverDead(t *testing.T) {
	l := newLab(t, names{business: "www.shop.test", zone: "gtm.test"})
	h := startHook(t)
	h.setDead(true)
	s := newService("www", "web", test2IP, test1IP)
	primary := startOrigin(t, "test1", net.JoinHostPort(test1IP, l.OriginPort), l.business)
	startOrigin(t, "test2", net.JoinHostPort(test2IP, l.OriginPort), l.business)
	l.configureServices(t, []service{s}, webCheck(l.OriginPort, 200*time.Millisecond, 100*time.Millisecond, 2),
		"[[alert_group]]\nname = \"ops\"\ngroup_wait = \"300ms\"\nhold = \"0s\"\n", l.hookMethod(t, h))
	l.startGTMD(t)
	eventually(t, 10*time.Second, "the primary serves", func() bool {
		got, err := ask(l.GTMD, s.domain())
		return err == nil && inOrder(got) == test1IP
	})
	primary.set(t, closed)
	eventually(t, 10*time.Second, "the backup serves", func() bool {
		got, err := ask(l.GTMD, s.domain())
		return err == nil && inOrder(got) == test2IP
	})
	eventually(t, 20*time.Second, "a message waits", func() bool {
		out, _ := l.run(t, "alert", "status")
		return strings.Contains(out, "503")
	})
	l.gtmd.end(t)
	h.setDead(false)
	l.startGTMD(t)
	h.find(t, 30*time.Second, "alert.firing", "address_down")
	primary.set(t, serving)
	h.find(t, 30*time.Second, "alert.resolved", "address_down")
	for id, n := range h.count() {
		if n != 1 {
			t.Errorf("message %s came %d times", id, n)
		}
	}
}
