package server

import (
	"fmt"
	"strings"
	"sync"
	"testing"

	"github.com/miekg/dns"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"gtmd/policy"
	"gtmd/server/view"
	"gtmd/server/wire"
)

func TestStatsByTransportTypeAndRcode(t *testing.T) {
	udp, stats := newResponder(t, true)
	tcp := *udp
	tcp.count = stats.join(false)
	ask := func(r *Responder, packet []byte) { r.Respond(nil, packet, client, 1232) }
	for i, qtype := range []uint16{dns.TypeA, dns.TypeAAAA, dns.TypeCNAME, dns.TypeNS, dns.TypeSOA, dns.TypeTXT, dns.TypeMX, dns.TypeHTTPS, dns.TypeANY, dns.TypeSRV, 65535} {
		for range i + 1 {
			ask(udp, packet(t, "www.gtm.test.", qtype, 0, ""))
		}
	}
	ask(&tcp, packet(t, "missing.gtm.test.", dns.TypeA, 0, ""))
	ask(&tcp, packet(t, "example.com.", dns.TypeA, 4096, "10.0.0.0/8"))
	ask(udp, packet(t, "big.gtm.test.", dns.TypeA, 0, ""))
	ask(udp, packet(t, "all.gtm.test.", dns.TypeA, 4096, "10.0.0.0/8"))
	ask(udp, nil)
	ask(udp, packet(t, "www.gtm.test.", dns.TypeA, 0, "")[:20]) // FORMERR without a type
	badVersion := packet(t, "www.gtm.test.", dns.TypeA, 4096, "")
	badVersion[len(badVersion)-5] = 1
	ask(&tcp, badVersion)
	notify := packet(t, "gtm.test.", dns.TypeSOA, 0, "")
	notify[2] |= dns.OpcodeNotify << 3
	ask(&tcp, notify)
	stats.tcpOpen.Add(3)
	stats.unsent.Add(4)
	stats.panics.Add(5)
	udp.count.cookies[cookieClient].Add(6)
	tcp.count.cookies[cookieValid].Add(7)
	udp.count.cookies[cookieInvalid].Add(8)
	udp.count.limited[0][curbTruncate].Add(9)
	udp.count.limited[limitAll][curbCookie].Add(10)
	want := `
# HELP gtmd_dns_cookies_total Queries with a DNS cookie (RFC 7873): a client cookie alone, a valid server cookie, or one that is not (any longer).
# TYPE gtmd_dns_cookies_total counter
gtmd_dns_cookies_total{proto="tcp",result="client"} 0
gtmd_dns_cookies_total{proto="tcp",result="invalid"} 0
gtmd_dns_cookies_total{proto="tcp",result="valid"} 7
gtmd_dns_cookies_total{proto="udp",result="client"} 6
gtmd_dns_cookies_total{proto="udp",result="invalid"} 8
gtmd_dns_cookies_total{proto="udp",result="valid"} 0
# HELP gtmd_dns_dropped_requests_total Packets that got no reply: shorter than a header, or responses.
# TYPE gtmd_dns_dropped_requests_total counter
gtmd_dns_dropped_requests_total{proto="tcp"} 0
gtmd_dns_dropped_requests_total{proto="udp"} 1
# HELP gtmd_dns_ecs_requests_total Queries with a client-subnet option (RFC 7871).
# TYPE gtmd_dns_ecs_requests_total counter
gtmd_dns_ecs_requests_total{proto="tcp"} 1
gtmd_dns_ecs_requests_total{proto="udp"} 1
# HELP gtmd_dns_panics_total Panics caught while answering; each is a bug to report.
# TYPE gtmd_dns_panics_total counter
gtmd_dns_panics_total 5
# HELP gtmd_dns_rate_limited_total Replies over UDP that were over a rate limit: dropped, truncated, or replaced by BADCOOKIE.
# TYPE gtmd_dns_rate_limited_total counter
gtmd_dns_rate_limited_total{action="badcookie",class="all"} 10
gtmd_dns_rate_limited_total{action="badcookie",class="answer"} 0
gtmd_dns_rate_limited_total{action="badcookie",class="error"} 0
gtmd_dns_rate_limited_total{action="badcookie",class="negative"} 0
gtmd_dns_rate_limited_total{action="drop",class="all"} 0
gtmd_dns_rate_limited_total{action="drop",class="answer"} 0
gtmd_dns_rate_limited_total{action="drop",class="error"} 0
gtmd_dns_rate_limited_total{action="drop",class="negative"} 0
gtmd_dns_rate_limited_total{action="truncate",class="all"} 0
gtmd_dns_rate_limited_total{action="truncate",class="answer"} 9
gtmd_dns_rate_limited_total{action="truncate",class="error"} 0
gtmd_dns_rate_limited_total{action="truncate",class="negative"} 0
# HELP gtmd_dns_requests_total Queries answered, by transport and question type.
# TYPE gtmd_dns_requests_total counter
gtmd_dns_requests_total{proto="tcp",type="A"} 3
gtmd_dns_requests_total{proto="tcp",type="AAAA"} 0
gtmd_dns_requests_total{proto="tcp",type="ANY"} 0
gtmd_dns_requests_total{proto="tcp",type="CNAME"} 0
gtmd_dns_requests_total{proto="tcp",type="HTTPS"} 0
gtmd_dns_requests_total{proto="tcp",type="MX"} 0
gtmd_dns_requests_total{proto="tcp",type="NS"} 0
gtmd_dns_requests_total{proto="tcp",type="SOA"} 0
gtmd_dns_requests_total{proto="tcp",type="TXT"} 0
gtmd_dns_requests_total{proto="tcp",type="other"} 1
gtmd_dns_requests_total{proto="udp",type="A"} 3
gtmd_dns_requests_total{proto="udp",type="AAAA"} 2
gtmd_dns_requests_total{proto="udp",type="ANY"} 9
gtmd_dns_requests_total{proto="udp",type="CNAME"} 3
gtmd_dns_requests_total{proto="udp",type="HTTPS"} 8
gtmd_dns_requests_total{proto="udp",type="MX"} 7
gtmd_dns_requests_total{proto="udp",type="NS"} 4
gtmd_dns_requests_total{proto="udp",type="SOA"} 5
gtmd_dns_requests_total{proto="udp",type="TXT"} 6
gtmd_dns_requests_total{proto="udp",type="other"} 22
# HELP gtmd_dns_responses_total Replies sent, by transport and response code.
# TYPE gtmd_dns_responses_total counter
gtmd_dns_responses_total{proto="tcp",rcode="BADCOOKIE"} 0
gtmd_dns_responses_total{proto="tcp",rcode="BADVERS"} 1
gtmd_dns_responses_total{proto="tcp",rcode="FORMERR"} 0
gtmd_dns_responses_total{proto="tcp",rcode="NOERROR"} 0
gtmd_dns_responses_total{proto="tcp",rcode="NOTAUTH"} 0
gtmd_dns_responses_total{proto="tcp",rcode="NOTIMP"} 1
gtmd_dns_responses_total{proto="tcp",rcode="NXDOMAIN"} 1
gtmd_dns_responses_total{proto="tcp",rcode="REFUSED"} 1
gtmd_dns_responses_total{proto="tcp",rcode="SERVFAIL"} 0
gtmd_dns_responses_total{proto="tcp",rcode="YXDOMAIN"} 0
gtmd_dns_responses_total{proto="udp",rcode="BADCOOKIE"} 0
gtmd_dns_responses_total{proto="udp",rcode="BADVERS"} 0
gtmd_dns_responses_total{proto="udp",rcode="FORMERR"} 1
gtmd_dns_responses_total{proto="udp",rcode="NOERROR"} 68
gtmd_dns_responses_total{proto="udp",rcode="NOTAUTH"} 0
gtmd_dns_responses_total{proto="udp",rcode="NOTIMP"} 0
gtmd_dns_responses_total{proto="udp",rcode="NXDOMAIN"} 0
gtmd_dns_responses_total{proto="udp",rcode="REFUSED"} 0
gtmd_dns_responses_total{proto="udp",rcode="SERVFAIL"} 0
gtmd_dns_responses_total{proto="udp",rcode="YXDOMAIN"} 0
# HELP gtmd_dns_tcp_accepted_total TCP connections accepted and served, those of TLS too.
# TYPE gtmd_dns_tcp_accepted_total counter
gtmd_dns_tcp_accepted_total 0
# HELP gtmd_dns_tcp_closed_total TCP connections that ended, by reason: replaced, client_limit and refused made room or found none; descriptors: the process had none left.
# TYPE gtmd_dns_tcp_closed_total counter
gtmd_dns_tcp_closed_total{reason="client"} 0
gtmd_dns_tcp_closed_total{reason="client_limit"} 0
gtmd_dns_tcp_closed_total{reason="descriptors"} 0
gtmd_dns_tcp_closed_total{reason="error"} 0
gtmd_dns_tcp_closed_total{reason="handshake"} 0
gtmd_dns_tcp_closed_total{reason="idle"} 0
gtmd_dns_tcp_closed_total{reason="message_timeout"} 0
gtmd_dns_tcp_closed_total{reason="no_query"} 0
gtmd_dns_tcp_closed_total{reason="refused"} 0
gtmd_dns_tcp_closed_total{reason="replaced"} 0
gtmd_dns_tcp_closed_total{reason="stopped"} 0
gtmd_dns_tcp_closed_total{reason="write_timeout"} 0
# HELP gtmd_dns_tcp_connections TCP connections that are open.
# TYPE gtmd_dns_tcp_connections gauge
gtmd_dns_tcp_connections 3
# HELP gtmd_dns_tls_certificate_load_failures_total Contents of the certificate files that could not be used; the certificate before them serves on.
# TYPE gtmd_dns_tls_certificate_load_failures_total counter
gtmd_dns_tls_certificate_load_failures_total 0
# HELP gtmd_dns_tls_handshake_failures_total TLS handshakes that failed.
# TYPE gtmd_dns_tls_handshake_failures_total counter
gtmd_dns_tls_handshake_failures_total 0
# HELP gtmd_dns_truncated_responses_total Replies that did not fit and were sent with TC set.
# TYPE gtmd_dns_truncated_responses_total counter
gtmd_dns_truncated_responses_total{proto="tcp"} 0
gtmd_dns_truncated_responses_total{proto="udp"} 1
# HELP gtmd_dns_tsig_requests_total Requests signed with TSIG (RFC 8945), by what their signature was.
# TYPE gtmd_dns_tsig_requests_total counter
gtmd_dns_tsig_requests_total{result="badkey"} 0
gtmd_dns_tsig_requests_total{result="badsig"} 0
gtmd_dns_tsig_requests_total{result="badtime"} 0
gtmd_dns_tsig_requests_total{result="badtrunc"} 0
gtmd_dns_tsig_requests_total{result="good"} 0
gtmd_dns_tsig_requests_total{result="malformed"} 0
# HELP gtmd_dns_unsent_responses_total Replies over UDP that the kernel refused to send.
# TYPE gtmd_dns_unsent_responses_total counter
gtmd_dns_unsent_responses_total 4
# HELP gtmd_query_log_entries_total Queries of the sample of the query log (file) or of dnstap: written, or dropped because the sink was too slow, full or away.
# TYPE gtmd_query_log_entries_total counter
gtmd_query_log_entries_total{result="dropped",sink="dnstap"} 0
gtmd_query_log_entries_total{result="dropped",sink="file"} 0
gtmd_query_log_entries_total{result="written",sink="dnstap"} 0
gtmd_query_log_entries_total{result="written",sink="file"} 0
`
	if err := testutil.CollectAndCompare(stats, strings.NewReader(want)); err != nil {
		t.Error(err)
	}
	problems, err := testutil.CollectAndLint(stats)
	if err != nil || len(problems) > 0 {
		t.Errorf("lint: %v, %v", problems, err)
	}
}

// Every response code that a view or the decoder gives has a counter of its own name.
func TestRcodeNames(t *testing.T) {
	for rcode, want := range map[wire.RCode]string{
		wire.NoError: "NOERROR", wire.FormErr: "FORMERR", wire.ServFail: "SERVFAIL", wire.NXDomain: "NXDOMAIN",
		wire.NotImp: "NOTIMP", wire.Refused: "REFUSED", wire.YXDomain: "YXDOMAIN", wire.BadVers: "BADVERS", wire.BadCookie: "BADCOOKIE",
	} {
		if got := rcodeNames[rcodeIndex(rcode)]; got != want {
			t.Errorf("rcode %d is counted as %s, want %s", rcode, got, want)
		}
	}
}

// Answers are counted by key, over the growth of the table, over workers that come and go, and over a reload.
func TestAnswers(t *testing.T) {
	stats := NewStats()
	key := func(i int) view.CounterKey {
		return view.CounterKey{Instance: fmt.Sprint("instance", i), Policy: "Global", Family: policy.IPv4, Set: "primary"}
	}
	if got := stats.Answers(key(0)); got != 0 {
		t.Errorf("an unknown key has %d answers", got)
	}
	first := stats.join(true)
	for i := range 3 * answerChunkLen {
		if n := stats.Counter(key(i)); n != i {
			t.Fatalf("key %d has number %d", i, n)
		}
		first.answer(i) // counts at once, whatever chunk it is in
	}
	if again := stats.Counter(key(7)); again != 7 {
		t.Errorf("after a reload key 7 has number %d", again)
	}
	second := stats.join(true) // joins later: it has room for all
	second.answer(3*answerChunkLen - 1)
	second.answer(0)
	stats.leave(first)
	third := stats.join(true)
	if third != first {
		t.Error("a new worker does not count on for one that ended")
	}
	third.answer(0)
	if tcp := stats.join(false); tcp == first || tcp == second {
		t.Error("TCP counts as UDP")
	}
	third.answer(-1)
	third.answer(1 << 30)
	for i, want := range map[int]uint64{0: 3, 1: 1, answerChunkLen: 1, 3*answerChunkLen - 1: 2} {
		if got := stats.Answers(key(i)); got != want {
			t.Errorf("key %d has %d answers, want %d", i, got, want)
		}
	}
}

// Counts are exact while many workers count and scrapes read; and each worker counts into memory of its own.
func TestCountsAreExact(t *testing.T) {
	const workers, rounds = 4, 2000
	udp, stats := newResponder(t, true)
	key := view.CounterKey{Instance: "all", Policy: "Global", Family: policy.IPv4, Set: "primary"}
	packets := [][]byte{
		packet(t, "all.gtm.test.", dns.TypeA, 4096, "10.0.0.0/8"), packet(t, "x.gtm.test.", dns.TypeAAAA, 0, ""),
		packet(t, "big.gtm.test.", dns.TypeA, 0, ""), {1, 2, 3},
	}
	var all sync.WaitGroup
	for range workers {
		r := &Responder{view: udp.view, manners: udp.manners, clock: udp.clock, count: stats.join(true), askers: stats.askers, dice: newDice(3), record: udp.record}
		all.Go(func() {
			for i := range rounds {
				r.Respond(nil, packets[i%len(packets)], client, 1232)
			}
		})
	}
	ended := make(chan struct{})
	go func() { all.Wait(); close(ended) }()
	for scraping := true; scraping; {
		select {
		case <-ended:
			scraping = false
		default:
			testutil.CollectAndCount(stats)
			stats.Answers(key)
		}
	}
	const each = workers * rounds / 4
	sum := func(qtype, rcode, trait int) (total uint64) {
		for _, c := range stats.workers {
			total += c.sum(qtype, rcode, trait)
		}
		return total
	}
	for _, test := range []struct {
		what                string
		qtype, rcode, trait int
		want                uint64
	}{
		{"all", -1, -1, 0, 3 * each},
		{"A", typeIndex(wire.TypeA), -1, 0, 2 * each},
		{"NXDOMAIN", -1, rcodeIndex(wire.NXDomain), 0, each},
		{"A with NXDOMAIN", typeIndex(wire.TypeA), rcodeIndex(wire.NXDomain), 0, 0},
		{"truncated", -1, -1, truncated, each},
		{"with a client subnet", -1, -1, subnet, each},
		{"both", -1, -1, truncated | subnet, 0},
	} {
		if got := sum(test.qtype, test.rcode, test.trait); got != test.want {
			t.Errorf("%s: %d counted, want %d", test.what, got, test.want)
		}
	}
	if got := stats.Answers(key); got != each {
		t.Errorf("%d answers counted, want %d", got, each)
	}
}
