package server

import (
	"sync"
	"sync/atomic"

	"github.com/prometheus/client_golang/prometheus"

	"gtmd/server/querylog"
	"gtmd/server/view"
	"gtmd/server/wire"
)

// Stats counts queries. Every worker writes counters of its own, a scrape adds them up. It is a prometheus.Collector
// of what concerns all queries; the answers of policies are read with Answers.
type Stats struct {
	mu      sync.Mutex  // guards all
	workers []*counters // of ended workers too: what they counted stays, and a new worker counts on
	keys    map[view.CounterKey]int
	// instances are the names of those that have a number of their own.
	instances []string
	askers    *askers
	streams   streamStats
	tcpOpen   atomic.Int64
	panics    atomic.Uint64
	unsent    atomic.Uint64
	queries   querylog.Counters

	transfers, notifies zoneCounts
	signatures          zoneCounts // by result, of no zone
}

// counters are written by one worker (those of TCP by all connections of a listener) and read by scrapes.
type counters struct {
	_     [64]byte // keeps the counters of two workers off one cache line
	udp   bool
	tls   bool
	taken bool // by a worker that has not ended; guarded by Stats.mu
	// queries are by all that is told of an answered query, so that it costs one addition; a scrape adds up what it asks for.
	queries [len(typeNames)][len(rcodeNames)][traits]atomic.Uint64
	dropped atomic.Uint64
	cookies [len(cookieNames)]atomic.Uint64
	limited [len(limitNames)][len(curbNames)]atomic.Uint64
	answers atomic.Pointer[[]*answerChunk]
	_       [64]byte
}

// answerChunk holds counters of answers. Chunks are only ever added, so that counting goes on while the table grows.
type answerChunk [answerChunkLen]atomic.Uint64

const answerChunkLen = 1024

// typeNames are the question types counted by name; the last stands for all others.
var typeNames = [...]string{"A", "AAAA", "CNAME", "NS", "SOA", "TXT", "MX", "HTTPS", "ANY", "other"}

func typeIndex(qtype uint16) int {
	switch qtype {
	case wire.TypeA:
		return 0
	case wire.TypeAAAA:
		return 1
	case wire.TypeCNAME:
		return 2
	case wire.TypeNS:
		return 3
	case wire.TypeSOA:
		return 4
	case 16:
		return 5
	case 15:
		return 6
	case 65:
		return 7
	case wire.TypeANY:
		return 8
	default:
		return len(typeNames) - 1
	}
}

// rcodeNames are the response codes that the server sends, with their names of the IANA registry.
var rcodeNames = [...]string{"NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "NOTAUTH", "BADVERS", "BADCOOKIE"}

func rcodeIndex(rcode wire.RCode) int {
	switch rcode {
	case wire.NotAuth:
		return len(rcodeNames) - 3
	case wire.BadVers:
		return len(rcodeNames) - 2
	case wire.BadCookie:
		return len(rcodeNames) - 1
	default:
		return int(rcode)
	}
}

// What else is told of a query: each trait is a bit of an index.
const (
	truncated = 1 << iota
	subnet
	traits // how many combinations there are
)

// query counts one answered query.
func (c *counters) query(q *wire.Query, rcode wire.RCode, reply []byte) {
	trait := 0
	if reply[2]&0x02 != 0 {
		trait |= truncated
	}
	if q.HasSubnet {
		trait |= subnet
	}
	c.queries[typeIndex(q.Type)][rcodeIndex(rcode)][trait].Add(1)
}

// sum is the number of answered queries of a type, with a response code and with a trait, each -1 or 0 for any.
func (c *counters) sum(qtype, rcode, trait int) (total uint64) {
	for t := range c.queries {
		for r := range c.queries[t] {
			for has := range c.queries[t][r] {
				if (qtype < 0 || t == qtype) && (rcode < 0 || r == rcode) && has&trait == trait {
					total += c.queries[t][r][has].Load()
				}
			}
		}
	}
	return total
}

// answer counts an answer under a number that Stats.Counter gave; -1 is none.
func (c *counters) answer(counter int) {
	if counter < 0 {
		return
	}
	if chunks := *c.answers.Load(); counter < len(chunks)*answerChunkLen {
		chunks[counter/answerChunkLen][counter%answerChunkLen].Add(1)
	}
}

// NewStats returns Stats with nothing counted.
func NewStats() *Stats {
	s := &Stats{keys: map[view.CounterKey]int{}, askers: newAskers()}
	s.signatures.expect([]string{""}, "good", "badkey", "badsig", "badtime", "badtrunc", "malformed")
	return s
}

// join returns counters for a new worker, with room for every key known.
func (s *Stats) join(udp bool) *counters { return s.joinAs(udp, false) }

// joinAs is join, for TLS too.
func (s *Stats) joinAs(udp, tls bool) *counters {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.workers {
		if c.udp == udp && c.tls == tls && !c.taken {
			c.taken = true
			return c
		}
	}
	c := &counters{udp: udp, tls: tls, taken: true}
	c.answers.Store(&[]*answerChunk{})
	c.grow(len(s.keys))
	s.workers = append(s.workers, c)
	return c
}

// leave takes back the counters of a worker that ended.
func (s *Stats) leave(c *counters) {
	s.mu.Lock()
	defer s.mu.Unlock()
	c.taken = false
}

// Counter gives the number under which answers of a key are counted: the same for equal keys, so that counts go on over a
// reload. It is what view.Input wants.
func (s *Stats) Counter(key view.CounterKey) int {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.keys[key]
	if !known {
		n = len(s.keys)
		s.keys[key] = n
		if key == instanceKey(key.Instance) {
			s.instances = append(s.instances, key.Instance)
		}
		for _, c := range s.workers {
			c.grow(n + 1)
		}
	}
	return n
}

// instanceKey is the key of an instance by itself.
func instanceKey(name string) view.CounterKey { return view.CounterKey{Instance: name} }

// grow makes room for n counters of answers.
func (c *counters) grow(n int) {
	chunks := *c.answers.Load()
	for len(chunks)*answerChunkLen < n {
		chunks = append(chunks[:len(chunks):len(chunks)], new(answerChunk))
		c.answers.Store(&chunks)
	}
}

// Answers is the number of answers counted under a key.
func (s *Stats) Answers(key view.CounterKey) uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	n, known := s.keys[key]
	if !known {
		return 0
	}
	sum := uint64(0)
	for _, c := range s.workers {
		sum += (*c.answers.Load())[n/answerChunkLen][n%answerChunkLen].Load()
	}
	return sum
}

// The metrics, with the names of the field: requests and responses of the DNS protocol.
var (
	requestsDesc   = prometheus.NewDesc("gtmd_dns_requests_total", "Queries answered, by transport and question type.", []string{"proto", "type"}, nil)
	responsesDesc  = prometheus.NewDesc("gtmd_dns_responses_total", "Replies sent, by transport and response code.", []string{"proto", "rcode"}, nil)
	droppedDesc    = prometheus.NewDesc("gtmd_dns_dropped_requests_total", "Packets that got no reply: shorter than a header, or responses.", []string{"proto"}, nil)
	truncatedDesc  = prometheus.NewDesc("gtmd_dns_truncated_responses_total", "Replies that did not fit and were sent with TC set.", []string{"proto"}, nil)
	subnetsDesc    = prometheus.NewDesc("gtmd_dns_ecs_requests_total", "Queries with a client-subnet option (RFC 7871).", []string{"proto"}, nil)
	cookiesDesc    = prometheus.NewDesc("gtmd_dns_cookies_total", "Queries with a DNS cookie (RFC 7873): a client cookie alone, a valid server cookie, or one that is not (any longer).", []string{"proto", "result"}, nil)
	limitedDesc    = prometheus.NewDesc("gtmd_dns_rate_limited_total", "Replies over UDP that were over a rate limit: dropped, truncated, or replaced by BADCOOKIE.", []string{"class", "action"}, nil)
	tcpOpenDesc    = prometheus.NewDesc("gtmd_dns_tcp_connections", "TCP connections that are open.", nil, nil)
	unsentDesc     = prometheus.NewDesc("gtmd_dns_unsent_responses_total", "Replies over UDP that the kernel refused to send.", nil, nil)
	loggedDesc     = prometheus.NewDesc("gtmd_query_log_entries_total", "Queries of the sample of the query log (file) or of dnstap: written, or dropped because the sink was too slow, full or away.", []string{"sink", "result"}, nil)
	transfersDesc  = prometheus.NewDesc("gtmd_dns_transfers_total", "Requests to transfer a zone, by what came of them.", []string{"zone", "result"}, nil)
	notifiesDesc   = prometheus.NewDesc("gtmd_dns_notifies_total", "Secondaries told of a change of a zone, by what came of it.", []string{"zone", "result"}, nil)
	signaturesDesc = prometheus.NewDesc("gtmd_dns_tsig_requests_total", "Requests signed with TSIG (RFC 8945), by what their signature was.", []string{"result"}, nil)
	panicsDesc     = prometheus.NewDesc("gtmd_dns_panics_total", "Panics caught while answering; each is a bug to report.", nil, nil)
)

// Describe implements prometheus.Collector.
func (s *Stats) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{requestsDesc, responsesDesc, droppedDesc, truncatedDesc, subnetsDesc, cookiesDesc, limitedDesc, tcpOpenDesc, unsentDesc, loggedDesc, panicsDesc, transfersDesc, notifiesDesc, signaturesDesc} {
		ch <- d
	}
	s.streams.describe(ch)
}

// Collect implements prometheus.Collector.
func (s *Stats) Collect(ch chan<- prometheus.Metric) {
	s.mu.Lock()
	workers := s.workers
	s.mu.Unlock()
	for _, proto := range s.streams.protos() {
		sum := func(pick func(*counters) uint64) float64 {
			total := uint64(0)
			for _, c := range workers {
				if c.proto() == proto {
					total += pick(c)
				}
			}
			return float64(total)
		}
		send := func(desc *prometheus.Desc, value float64, labels ...string) {
			ch <- prometheus.MustNewConstMetric(desc, prometheus.CounterValue, value, append([]string{proto}, labels...)...)
		}
		for i, name := range typeNames {
			send(requestsDesc, sum(func(c *counters) uint64 { return c.sum(i, -1, 0) }), name)
		}
		for i, name := range rcodeNames {
			send(responsesDesc, sum(func(c *counters) uint64 { return c.sum(-1, i, 0) }), name)
		}
		send(droppedDesc, sum(func(c *counters) uint64 { return c.dropped.Load() }))
		send(truncatedDesc, sum(func(c *counters) uint64 { return c.sum(-1, -1, truncated) }))
		send(subnetsDesc, sum(func(c *counters) uint64 { return c.sum(-1, -1, subnet) }))
		for i, name := range cookieNames {
			send(cookiesDesc, sum(func(c *counters) uint64 { return c.cookies[i].Load() }), name)
		}
	}
	for class, name := range limitNames {
		for action := curbDrop; int(action) < len(curbNames); action++ {
			total := uint64(0)
			for _, c := range workers {
				total += c.limited[class][action].Load()
			}
			ch <- prometheus.MustNewConstMetric(limitedDesc, prometheus.CounterValue, float64(total), name, curbNames[action])
		}
	}
	for sink, count := range map[string]*querylog.Count{"file": &s.queries.File, "dnstap": &s.queries.Dnstap} {
		ch <- prometheus.MustNewConstMetric(loggedDesc, prometheus.CounterValue, float64(count.Written()), sink, "written")
		ch <- prometheus.MustNewConstMetric(loggedDesc, prometheus.CounterValue, float64(count.Dropped()), sink, "dropped")
	}
	s.streams.collect(ch)
	s.collectTransfers(ch)
	ch <- prometheus.MustNewConstMetric(tcpOpenDesc, prometheus.GaugeValue, float64(s.tcpOpen.Load()))
	ch <- prometheus.MustNewConstMetric(unsentDesc, prometheus.CounterValue, float64(s.unsent.Load()))
	ch <- prometheus.MustNewConstMetric(panicsDesc, prometheus.CounterValue, float64(s.panics.Load()))
}
