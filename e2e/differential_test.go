//go:build e2e

package e2e

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/miekg/dns"
)

const (
	// differentialGroups is the number of top zones of the made-up world.
	differentialGroups = 250
	// differentialLimit is the time that the questions may take; those left over are not asked.
	differentialLimit = 10 * time.Minute
)

// peer is a name server with the zones of the world.
type peer struct {
	name, address string
}

// gist is what a reply says, without the order of records and the case of names.
type gist struct {
	rcode, answer, authority string
	aa                       bool
	// glue is the additional section of a referral.
	glue string
}

// difference is a kind of question that gtmd answers otherwise than all others, with its smallest example.
type difference struct {
	count   int
	size    int
	example string
}

// TestDifferential asks gtmd, NSD, Knot and BIND the same questions about random zones. Where those three agree, gtmd agrees.
//
// Type ANY is not asked, because each is minimal in a way of its own (RFC 8482). The additional section counts for referrals only,
// whose glue it has (RFC 9471): gtmd adds nothing else, BIND and NSD are told not to, Knot cannot be.
func TestDifferential(t *testing.T) {
	questions, seed := number(t, "GTMD_DIFF_QUESTIONS", 10_000), uint64(number(t, "GTMD_DIFF_SEED", 1))
	r := zoneMaker{rand.New(rand.NewPCG(seed, 6672)), differentialGroups}
	var world []randomGroup
	var zones []*randomZone
	for i := range differentialGroups {
		g := r.group(i)
		world, zones = append(world, g), append(zones, g...)
	}
	peers := startPeers(t, zones, "nsd", "knotd", "named")

	d := &differential{peers: peers, covered: map[string]int{}, lacking: map[string]int{}, kinds: map[string]*difference{}, deadline: time.Now().Add(differentialLimit)}
	var workers sync.WaitGroup
	asked := make(chan asking)
	for range 4 {
		workers.Go(func() { d.ask(asked) })
	}
	for range questions {
		g := world[r.IntN(len(world))]
		asked <- asking{g, r.question(g)}
	}
	close(asked)
	workers.Wait()

	t.Logf("seed %d: %d zones, %d questions, %d left out; the three agree on %d, gtmd with them on %d; where two agree, %d, gtmd agrees with them on %d",
		seed, len(zones), d.asked, questions-d.asked, d.agreed, d.equal, d.majority, d.withMajority)
	t.Logf("of those they agree on: %v; no reply: %v", d.covered, d.lacking)
	for _, kind := range slices.Sorted(maps.Keys(d.kinds)) {
		t.Errorf("%s: %d times, such as\n%s", kind, d.kinds[kind].count, d.kinds[kind].example)
	}
	if d.agreed < questions/2 || len(d.covered) < 8 {
		t.Errorf("too little was compared")
	}
}

// number is a number that the environment may set.
func number(t *testing.T, name string, usual int) int {
	t.Helper()
	text := cmp.Or(os.Getenv(name), strconv.Itoa(usual))
	n, err := strconv.Atoi(text)
	if err != nil {
		t.Fatalf("%s is %q, want a number", name, text)
	}
	return n
}

// startPeers runs gtmd, which is the first, and others of NSD, Knot and BIND, until the test ends.
func startPeers(t *testing.T, zones []*randomZone, others ...string) []peer {
	t.Helper()
	programs := need(t, others...)
	l := newLab(t, names{})
	var gtmd, nsd, knot, bind strings.Builder
	for i, z := range zones {
		name := strings.TrimSuffix(z.name, ".")
		own, master := fmt.Sprintf("own/%d.zone", i), l.write(t, fmt.Sprintf("master/%d.zone", i), z.master())
		l.write(t, own, z.records())
		gtmd.WriteString(z.options(own))
		fmt.Fprintf(&nsd, "zone:\n name: %q\n zonefile: %q\n", name, master)
		fmt.Fprintf(&knot, "  - domain: %q\n    file: %q\n", name, master)
		fmt.Fprintf(&bind, "zone %q { type primary; file %q; };\n", name, master)
	}
	l.write(t, "gtmd.toml", fmt.Sprintf("[dns]\nlisten = [%q]\n[admin]\nlisten = \"\"\nsocket = %q\n[state]\ndir = \"%s/state\"\n", l.GTMD, l.Socket, l.dir)+gtmd.String())
	start(t, l.dir, l.program, "run", "--config", "gtmd.toml")
	peers := []peer{{"gtmd", l.GTMD}}
	for _, program := range others {
		const localhost = "127.0.0.1" // BIND listens on addresses that an interface has
		port := freePort(t, localhost)
		l.write(t, program+"/empty", "")
		config := map[string]string{"nsd": nsdConfig, "knotd": knotConfig, "named": bindConfig}[program]
		zones := map[string]string{"nsd": nsd.String(), "knotd": knot.String(), "named": bind.String()}[program]
		path := l.write(t, program+".conf", strings.NewReplacer("IP", localhost, "PORT", port, "DIR", filepath.Join(l.dir, program)).Replace(config)+zones)
		arguments := map[string][]string{"nsd": {"-d", "-c", path}, "knotd": {"-c", path}, "named": {"-g", "-c", path}}[program]
		start(t, l.dir, programs[program], arguments...)
		peers = append(peers, peer{program, net.JoinHostPort(localhost, port)})
	}
	for _, p := range peers {
		p.waitFor(t, zones)
	}
	return peers
}

// nsdConfig is that of NSD, which would go on in other zones of its own where the others do not.
const nsdConfig = `server:
 ip-address: IP@PORT
 server-count: 1
 username: ""
 chroot: ""
 database: ""
 pidfile: "DIR/pid"
 zonelistfile: "DIR/zones"
 xfrdfile: "DIR/xfrd"
 xfrdir: "DIR"
 zonesdir: "DIR"
 confine-to-zone: yes
 minimal-responses: yes
 rrl-ratelimit: 0
 refuse-any: no
remote-control:
 control-enable: no
`

const knotConfig = `server:
  rundir: DIR
  listen: IP@PORT
  udp-workers: 1
  tcp-workers: 1
  background-workers: 1
database:
  storage: DIR/db
log:
  - target: stdout
    any: warning
template:
  - id: default
    storage: DIR
    zonefile-load: whole
    journal-content: none
    semantic-checks: off
zone:
`

const bindConfig = `options {
  directory "DIR"; pid-file "DIR/pid"; session-keyfile "DIR/session"; managed-keys-directory "DIR"; lock-file none;
  listen-on port PORT { IP; }; listen-on-v6 { none; };
  recursion no; querylog no; notify no; dnssec-validation no; empty-zones-enable no; minimal-responses yes; check-integrity no; check-names primary ignore;
};
controls {};
`

// waitFor waits until a peer serves every zone.
func (p peer) waitFor(t *testing.T, zones []*randomZone) {
	t.Helper()
	client := &dns.Client{Timeout: time.Second}
	for _, z := range zones {
		eventually(t, 30*time.Second, p.name+" serves "+z.name, func() bool {
			m, _, err := client.Exchange(new(dns.Msg).SetQuestion(z.name, dns.TypeSOA), p.address)
			return err == nil && m.Rcode == dns.RcodeSuccess && len(m.Answer) == 1 && m.Answer[0].Header().Name == z.name
		})
	}
}

// asking is a question with the zones that it is about.
type asking struct {
	group    randomGroup
	question dns.Question
}

// differential collects what the servers say.
type differential struct {
	peers    []peer
	deadline time.Time

	mu                                           sync.Mutex // guards all below
	asked, agreed, equal, majority, withMajority int
	covered                                      map[string]int // where the three agree, by what they reply
	lacking                                      map[string]int // replies of the others that could not be had
	kinds                                        map[string]*difference
}

// ask asks all peers until the questions or the time run out.
func (d *differential) ask(questions <-chan asking) {
	sockets := make([]*dns.Conn, len(d.peers))
	defer func() {
		for _, c := range sockets {
			if c != nil {
				c.Close()
			}
		}
	}()
	for a := range questions {
		if time.Now().After(d.deadline) {
			continue
		}
		replies, gists := make([]*dns.Msg, len(d.peers)), make([]gist, len(d.peers))
		for i, p := range d.peers {
			m, err := p.ask(&sockets[i], a.question)
			if err != nil {
				m = &dns.Msg{MsgHdr: dns.MsgHdr{Rcode: -i}, Question: []dns.Question{a.question}} // then the three do not agree
				d.lack(p, err, a, replies[:i])
			}
			replies[i], gists[i] = m, gistOf(m)
		}
		d.compare(a, replies, gists)
	}
}

// lack counts a reply that did not come or could not be read. With one of gtmd that is a difference.
func (d *differential) lack(p peer, err error, a asking, replies []*dns.Msg) {
	if p == d.peers[0] {
		d.note("no reply: "+err.Error(), a, replies)
		return
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	d.lacking[p.name+": "+err.Error()]++
}

// ask asks one question over UDP, or TCP when the reply is truncated. The socket is made when it is nil, or after an error.
func (p peer) ask(socket **dns.Conn, question dns.Question) (*dns.Msg, error) {
	q := &dns.Msg{MsgHdr: dns.MsgHdr{Id: dns.Id()}, Question: []dns.Question{question}}
	q.SetEdns0(1232, false)
	var failed error
	for range 3 {
		if *socket == nil {
			c, err := dns.Dial("udp", p.address)
			if err != nil {
				return nil, err
			}
			c.UDPSize = 1232
			*socket = c
		}
		m, err := roundTrip(*socket, q)
		if err != nil {
			(*socket).Close()
			*socket, failed = nil, err
			continue
		}
		if !m.Truncated {
			return m, nil
		}
		c, err := dns.Dial("tcp", p.address)
		if err != nil {
			return nil, err
		}
		defer c.Close()
		return roundTrip(c, q)
	}
	return nil, failed
}

// roundTrip sends a query and waits for its reply, at most 5 s.
func roundTrip(c *dns.Conn, q *dns.Msg) (*dns.Msg, error) {
	c.SetDeadline(time.Now().Add(5 * time.Second))
	if err := c.WriteMsg(q); err != nil {
		return nil, err
	}
	for {
		m, err := c.ReadMsg()
		if err != nil || m.Id == q.Id {
			return m, err
		}
	}
}

// gistOf is what a reply says.
func gistOf(m *dns.Msg) gist {
	o := gist{rcode: cmp.Or(dns.RcodeToString[m.Rcode], strconv.Itoa(m.Rcode)), aa: m.Authoritative, answer: setOf(m.Answer), authority: setOf(m.Ns)}
	if !m.Authoritative {
		o.glue = setOf(m.Extra)
	}
	return o
}

// setOf is a section as a set of records.
func setOf(section []dns.RR) string {
	var set []string
	for _, rr := range section {
		if rr.Header().Rrtype == dns.TypeOPT {
			continue
		}
		header, all := rr.Header().String(), rr.String()
		data := strings.TrimPrefix(all, header)
		switch rr.(type) {
		case *dns.TXT, *dns.SPF, *dns.HINFO, *dns.CAA, *dns.URI, *dns.OPENPGPKEY, *dns.CERT:
		default:
			data = strings.ToLower(data)
		}
		set = append(set, strings.ToLower(header)+data)
	}
	slices.Sort(set)
	return strings.Join(slices.Compact(set), "\n")
}

// compare counts one question.
func (d *differential) compare(a asking, replies []*dns.Msg, o []gist) {
	if got := len(replies[0].Answer); got != len(strings.Split(setOf(replies[0].Answer), "\n")) && got > 0 {
		d.note("a record twice", a, replies)
	}
	own, others := o[0], o[1:]
	d.mu.Lock()
	d.asked++
	isEqual := own == others[0]
	if others[0] == others[1] || others[0] == others[2] || others[1] == others[2] {
		d.majority++
		if own == others[0] && (others[0] == others[1] || others[0] == others[2]) || own == others[1] && others[1] == others[2] {
			d.withMajority++
		}
	}
	agreed := others[0] == others[1] && others[1] == others[2]
	if agreed {
		d.agreed++
		for _, kind := range situations(replies[1]) {
			d.covered[kind]++
		}
	}
	if agreed && isEqual {
		d.equal++
	}
	d.mu.Unlock()
	if agreed && !isEqual {
		d.note(kindOf(own, others[0]), a, replies)
	}
}

// situations says what a reply is an example of.
func situations(m *dns.Msg) []string {
	kinds := []string{dns.RcodeToString[m.Rcode]}
	count := map[uint16]int{}
	for _, rr := range m.Answer {
		count[rr.Header().Rrtype]++
	}
	for kind, holds := range map[string]bool{
		"data":            len(m.Answer) > 0 && m.Answer[len(m.Answer)-1].Header().Rrtype == m.Question[0].Qtype,
		"NODATA":          m.Rcode == dns.RcodeSuccess && m.Authoritative && len(m.Ns) == 1 && m.Ns[0].Header().Rrtype == dns.TypeSOA,
		"referral":        m.Rcode == dns.RcodeSuccess && !m.Authoritative,
		"chain":           count[dns.TypeCNAME] > 0 && m.Question[0].Qtype != dns.TypeCNAME,
		"chain of 2":      count[dns.TypeCNAME] > 1,
		"chain of 3":      count[dns.TypeCNAME] > 2,
		"DNAME":           count[dns.TypeDNAME] > 0,
		"two DNAMEs":      count[dns.TypeDNAME] > 1,
		"chain, referral": len(m.Answer) > 0 && len(m.Ns) > 0 && m.Ns[0].Header().Rrtype == dns.TypeNS,
		"large":           m.Len() > 1232,
	} {
		if holds {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// kindOf says in what two gists differ.
func kindOf(got, want gist) string {
	var kinds []string
	add := func(differs bool, kind string) {
		if differs {
			kinds = append(kinds, kind)
		}
	}
	add(got.rcode != want.rcode, "rcode "+got.rcode+" for "+want.rcode)
	add(got.aa != want.aa, "aa")
	add(got.answer != want.answer, "answer")
	add(got.authority != want.authority, "authority")
	add(got.glue != want.glue, "glue")
	return strings.Join(kinds, ", ")
}

// note counts a difference and keeps the smallest example.
func (d *differential) note(kind string, a asking, replies []*dns.Msg) {
	d.mu.Lock()
	defer d.mu.Unlock()
	known := d.kinds[kind]
	if known == nil {
		known = &difference{}
		d.kinds[kind] = known
	}
	known.count++
	if zones := a.group.String(); known.example == "" || len(zones) < known.size {
		known.size = len(zones)
		known.example = fmt.Sprintf("%s\n%s", a.question.String(), zones)
		for i, m := range replies {
			known.example += fmt.Sprintf("-- %s\n%s\n", d.peers[i].name, m)
		}
	}
}
