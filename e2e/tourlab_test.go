//go:build e2e

package e2e

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"math/big"
	random "math/rand/v2"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"

	"gtmd/admin"
)

// tour is a shop in several countries, on one machine, in which something of everything is wrong.
type tour struct {
	*business
	origins map[int]*tourOrigin // by the last octet of their addresses
	hook    *hook
}

// tourOrigin is an origin that takes about as long as one far away.
type tourOrigin struct {
	address string
	took    time.Duration
	status  atomic.Int64
	config  *tls.Config // nil: plain HTTP

	server  *http.Server // nil: closed
	running sync.WaitGroup
}

// open has it listen.
func (o *tourOrigin) open(t *testing.T) {
	t.Helper()
	listener, err := net.Listen("tcp", o.address)
	if err != nil {
		t.Fatal(err)
	}
	if o.config != nil {
		listener = tls.NewListener(listener, o.config)
	}
	o.server = &http.Server{Handler: o, ReadHeaderTimeout: 5 * time.Second}
	o.running.Go(func() { o.server.Serve(listener) })
}

// close has connections refused.
func (o *tourOrigin) close() {
	if o.server != nil {
		o.server.Close()
	}
	o.running.Wait()
	o.server = nil
}

// ServeHTTP implements http.Handler.
func (o *tourOrigin) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	select {
	case <-time.After(o.took + random.N(o.took/2+time.Millisecond)):
	case <-r.Context().Done():
	}
	w.WriteHeader(int(o.status.Load()))
	fmt.Fprintln(w, "origin")
}

// startTour makes the set-up with a history of a day, and leaves it as a night when several things went wrong.
func startTour(t *testing.T) *tour {
	s := &tour{business: startNames(t, "bulk 1 A 127.0.20.12\n"), origins: map[int]*tourOrigin{}, hook: startHook(t)}
	dead := startHook(t)
	dead.setDead(true)
	certificate := s.writeTourCertificate(t, 9*24*time.Hour+5*time.Hour)
	for host, took := range map[int]int{1: 8, 2: 9, 3: 21, 4: 24, 5: 46, 6: 48, 7: 92, 8: 95, 9: 70, 10: 130, 11: 12, 12: 15, 21: 18, 22: 20} {
		o := &tourOrigin{address: fmt.Sprintf("127.0.20.%d:%s", host, s.OriginPort), took: time.Duration(took) * time.Millisecond}
		o.status.Store(http.StatusOK)
		if host > 20 {
			o.config = &tls.Config{Certificates: []tls.Certificate{certificate}}
		}
		o.open(t)
		s.origins[host] = o
	}
	t.Cleanup(func() {
		for _, o := range s.origins {
			o.close()
		}
	})
	s.writeWorld(t)
	s.writeTokens(t)
	s.write(t, "gtmd.toml", fill(t, "tour.toml", map[string]any{
		"GTMD": s.GTMD, "Admin": s.Admin, "Resolver": s.Resolver, "OriginPort": s.OriginPort,
		"Hook": strings.ReplaceAll(s.hookMethod(t, s.hook), s.dir+"/", ""), "DeadHook": strings.ReplaceAll(s.hookMethod(t, dead), s.dir+"/", ""),
	}))

	s.begin(t)
	s.stands(t, "Europe", "primary")
	for _, was := range []struct{ lasted, ago time.Duration }{{50 * time.Minute, 9 * time.Hour}, {100 * time.Minute, 4 * time.Hour}} { // it was no better before
		s.fail(t, 7, 8)
		s.stands(t, "Europe", "backup")
		s.later(t, was.lasted)
		s.mend(t, 7, 8)
		s.stands(t, "Europe", "primary")
		s.later(t, was.ago)
	}
	s.fail(t, 5, 6) // East Asia goes to its backup, and waits there
	s.stands(t, "East Asia", "backup")
	s.origins[6].open(t)
	s.origins[6].status.Store(http.StatusServiceUnavailable)
	s.mend(t, 5)
	s.fail(t, 7, 8, 11)
	s.stands(t, "Europe", "backup")
	s.stands(t, "Office", "primary")
	s.later(t, 3*time.Minute)
	time.Sleep(5 * time.Second) // for some results of every target to be shown

	for _, command := range []string{
		"override set drain 127.0.20.2 --pool cn-south --author alice --reason|new kernel --for 2h --over 10m",
		"drill start --pool api --author bob --reason|game day --for 2s --wait",
	} {
		words, reason, _ := strings.Cut(command, "|")
		reason, rest, _ := strings.Cut(reason, " --")
		args := append(strings.Fields(words), reason)
		args = append(args, strings.Fields("--"+rest)...)
		if out, code := s.run(t, args...); code != 0 {
			t.Fatalf("gtmd %q ends with %d:\n%s", args, code, out)
		}
	}
	s.asks(t)
	text := string(readFile(t, filepath.Join(s.dir, "gtmd.toml")))
	s.write(t, "gtmd.toml", strings.Replace(strings.Replace(text, `pools = ["cn-north"], `, "", 1), `balance = "weight"`, `balance = "wieght"`, 1))
	if out, code := s.run(t, "reload"); code != 1 {
		t.Fatalf("a reload of a broken file ends with %d:\n%s", code, out)
	}
	return s
}

// begin starts gtmd, in its directory so that no path tells where that is, and waits until everything is up.
func (s *tour) begin(t *testing.T) {
	t.Helper()
	s.gtmd = start(t, s.dir, s.program, "run", "--config", "gtmd.toml")
	eventually(t, 10*time.Second, "gtmd is ready", func() bool {
		response, err := http.Get("http://" + s.Admin + "/readyz")
		if err != nil {
			return false
		}
		response.Body.Close()
		return response.StatusCode == http.StatusOK
	})
}

// later has a while pass, in which gtmd does not run.
func (s *tour) later(t *testing.T, by time.Duration) {
	t.Helper()
	s.gtmd.end(t)
	s.age(t, by)
	s.begin(t)
}

// stands waits until a policy of cdn-origin has a set in force.
func (s *tour) stands(t *testing.T, policy, set string) {
	t.Helper()
	eventually(t, 20*time.Second, policy+" answers from "+set, func() bool {
		response, err := http.Get("http://" + s.Admin + "/api/v1/instances/cdn-origin")
		if err != nil {
			return false // it starts
		}
		defer response.Body.Close()
		var in admin.InstanceStatus
		if json.NewDecoder(response.Body).Decode(&in) != nil {
			return false
		}
		for _, p := range in.Policies {
			if p.Name == policy && p.Family == "ipv4" {
				return p.InForce == set
			}
		}
		return false
	})
}

// fail has connections to some origins refused; mend opens them again.
func (s *tour) fail(_ *testing.T, hosts ...int) {
	for _, host := range hosts {
		s.origins[host].close()
	}
}

func (s *tour) mend(t *testing.T, hosts ...int) {
	t.Helper()
	for _, host := range hosts {
		s.origins[host].open(t)
	}
}

// stamp is a time as files of the state directory have it.
var stamp = regexp.MustCompile(`"20\d\d-\d\d-\d\dT[^"]+"`)

// age makes everything in the state directory of a gtmd that does not run older.
func (s *tour) age(t *testing.T, by time.Duration) {
	t.Helper()
	older := func(text []byte) []byte {
		return stamp.ReplaceAllFunc(text, func(at []byte) []byte {
			moment, err := time.Parse(`"`+time.RFC3339Nano+`"`, string(at))
			if err != nil {
				t.Fatal(err)
			}
			if moment.IsZero() {
				return at
			}
			return moment.Add(-by).AppendFormat(nil, `"`+time.RFC3339Nano+`"`)
		})
	}
	events := filepath.Join(s.dir, "state", "events.jsonl")
	if err := os.WriteFile(events, older(readFile(t, events)), 0o600); err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(s.dir, "state", "state.json")
	var file, body map[string]json.RawMessage
	if err := json.Unmarshal(readFile(t, path), &file); err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(older(file["body"]), &body); err != nil {
		t.Fatal(err)
	}
	delete(body, "boot") // it would tell that no time has passed
	text, err := json.Marshal(body)
	if err != nil {
		t.Fatal(err)
	}
	hash := sha256.Sum256(text)
	file["body"], file["checksum"] = text, json.RawMessage(`"`+hex.EncodeToString(hash[:])+`"`)
	if text, err = json.Marshal(file); err == nil {
		err = os.WriteFile(path, text, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// writeTokens writes a token file with an operator, alice.
func (l *lab) writeTokens(t *testing.T) {
	t.Helper()
	path := l.write(t, "tokens", fmt.Sprintf("operate alice sha256:%x\n", sha256.Sum256([]byte(operateToken))))
	if err := os.Chmod(path, 0o600); err != nil {
		t.Fatal(err)
	}
}

// writeTourCertificate writes tls.crt, a certificate that ends in a while.
func (s *tour) writeTourCertificate(t *testing.T, left time.Duration) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "api.shop.test"}, DNSNames: []string{"api.shop.test"},
		IsCA: true, BasicConstraintsValid: true, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(left),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	s.write(t, "tls.crt", string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})))
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// writeWorld writes databases with a network for some places and providers.
func (s *tour) writeWorld(t *testing.T) {
	t.Helper()
	city, asn := newTree(t, "GeoLite2-City"), newTree(t, "GeoLite2-ASN")
	for prefix, place := range map[string][3]string{
		"36.1.0.0/16": {"AS", "CN", "GD"}, "36.2.0.0/16": {"AS", "CN", "FJ"}, "36.3.0.0/16": {"AS", "CN", "HI"}, "36.4.0.0/16": {"AS", "CN", "GX"}, "36.9.0.0/16": {"AS", "CN", "BJ"},
		"58.1.0.0/16": {"AS", "JP", ""}, "58.2.0.0/16": {"AS", "KR", ""}, "58.3.0.0/16": {"AS", "SG", ""}, "62.1.0.0/16": {"EU", "DE", ""}, "41.1.0.0/16": {"AF", "ZA", ""}, "63.1.0.0/16": {"NA", "US", ""},
		"127.0.0.11/32": {"EU", "DE", ""}, "127.0.21.1/32": {"AS", "CN", "GD"}, "127.0.21.2/32": {"AS", "JP", ""},
	} {
		record := mmdbtype.Map{"continent": mmdbtype.Map{"code": mmdbtype.String(place[0])}, "country": mmdbtype.Map{"iso_code": mmdbtype.String(place[1])}}
		if place[2] != "" {
			record["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(place[2])}}
		}
		insert(t, city, netip.MustParsePrefix(prefix), record)
	}
	for prefix, of := range map[string]struct {
		number uint32
		name   string
	}{
		"36.1.0.0/16": {4134, "Chinanet"}, "62.1.0.0/16": {3320, "Deutsche Telekom AG"}, "127.0.0.11/32": {3320, "Deutsche Telekom AG"},
		"127.0.21.1/32": {4134, "Chinanet"}, "127.0.21.2/32": {17676, "SoftBank Corp."},
	} {
		insert(t, asn, netip.MustParsePrefix(prefix), mmdbtype.Map{
			"autonomous_system_number": mmdbtype.Uint32(of.number), "autonomous_system_organization": mmdbtype.String(of.name),
		})
	}
	write(t, city, filepath.Join(s.dir, "city.mmdb"))
	write(t, asn, filepath.Join(s.dir, "asn.mmdb"))
}

// asks has three resolvers ask for the access domain, one of them with the subnet of its client.
func (s *tour) asks(t *testing.T) {
	t.Helper()
	if _, err := ask(s.Resolver, s.access); err != nil {
		t.Fatal(err)
	}
	for ip, subnet := range map[string]string{"127.0.21.1": "36.1.7.0", "127.0.21.2": ""} {
		m := new(dns.Msg).SetQuestion(dns.Fqdn(s.access), dns.TypeA)
		if subnet != "" {
			m.SetEdns0(1232, false)
			m.IsEdns0().Option = append(m.IsEdns0().Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: 24, Address: net.ParseIP(subnet).To4()})
		}
		client := dns.Client{Timeout: time.Second, Dialer: &net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(ip)}}}
		if _, _, err := client.Exchange(m, s.GTMD); err != nil {
			t.Fatal(err)
		}
	}
}
