package healthcheck

import (
	"bytes"
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/miekg/dns"
)

const (
	dnsHeaderSize = 12   // RFC 1035, section 4.1.1.
	flagResponse  = 0x80 // Octet 2 of the header: QR.
	maskOpcode    = 0x78 // Octet 2: the kind of query; 0 is a standard one.
	flagTruncated = 0x02 // Octet 2: TC.
	maskRCode     = 0x0f // Octet 3.

	// maxAliases is how many CNAME records of an answer are followed.
	maxAliases = 16
	// maxShown is how many records a reason shows.
	maxShown = 3
)

// question is what a dns check asks for and expects. It is immutable.
type question struct {
	name   string // Empty: the host.
	kind   uint16
	rcodes []string // In capitals.
	text   string   // The data of some record; empty: any answer.
	record dns.RR   // The same parsed, or nil when text is no data of the kind.
}

// newQuestion compiles the options of a dns check. Its error is that the answer they expect cannot be.
func newQuestion(o *Options) (*question, error) {
	q := &question{name: o.Query, kind: dns.StringToType[strings.ToUpper(o.QueryType)], text: o.ExpectAnswer}
	for _, name := range o.ExpectRCode {
		q.rcodes = append(q.rcodes, strings.ToUpper(name))
	}
	if !strings.ContainsAny(q.text, "\r\n") {
		q.record, _ = dns.NewRR(". 0 IN " + dns.TypeToString[q.kind] + " " + q.text)
	}
	if q.text != "" && q.record == nil && (q.kind == dns.TypeA || q.kind == dns.TypeAAAA) {
		return nil, fmt.Errorf("expect_answer: %q is not the data of an %s record: want an address", q.text, dns.TypeToString[q.kind])
	}
	return q, nil
}

// answers reports whether a packet answers the query, both as on the wire. A server that could not read the question need
// not repeat it, but then says so in the response code.
func answers(packet, query []byte) bool {
	if len(packet) < dnsHeaderSize || !bytes.Equal(packet[:2], query[:2]) || packet[2]&flagResponse == 0 || packet[2]&maskOpcode != 0 {
		return false
	}
	switch questions := int(packet[4])<<8 | int(packet[5]); questions {
	case 0:
		return packet[3]&maskRCode != dns.RcodeSuccess
	case 1:
		size := len(query)
		if len(packet) < size {
			return false
		}
		name := size - 4 // Type and class end the question.
		// Servers may change the case of letters. No length of a label is one.
		return bytes.Equal(packet[name:size], query[name:]) && bytes.Equal(lowerName(packet[dnsHeaderSize:name]), lowerName(query[dnsHeaderSize:name]))
	default:
		return false
	}
}

// lowerName returns name with its ASCII letters in lower case (RFC 4343).
func lowerName(name []byte) []byte {
	small := bytes.Clone(name)
	for i, c := range small {
		if 'A' <= c && c <= 'Z' {
			small[i] = c + 'a' - 'A'
		}
	}
	return small
}

// judge says whether an answer is what was expected. Name is what was asked for. Its error is a reason.
func (q *question) judge(packet []byte, name string) error {
	var m dns.Msg
	if err := m.Unpack(packet); err != nil {
		return newReason(err, "DNS: malformed answer: %s", strings.TrimPrefix(bare(err), "dns: "))
	}
	if said := int(packet[6])<<8 | int(packet[7]); said != len(m.Answer) {
		return newReason(nil, "DNS: malformed answer: %d records, and it says %d", len(m.Answer), said)
	}
	got := dns.RcodeToString[m.Rcode]
	if got == "" {
		got = fmt.Sprintf("RCODE%d", m.Rcode)
	}
	if !slices.Contains(q.rcodes, got) {
		return newReason(nil, "DNS: %s, wanted %s", got, strings.Join(q.rcodes, " or "))
	}
	if q.text == "" {
		return nil
	}
	found := q.find(m.Answer, dns.Fqdn(name))
	if slices.ContainsFunc(found, q.matches) {
		return nil
	}
	kind := dns.TypeToString[q.kind]
	if q.kind == dns.TypeANY {
		kind = "record"
	} else {
		kind += " record"
	}
	return newReason(nil, "DNS: no %s of %s is %s (got %s)", kind, clip(strings.TrimSuffix(name, "."), 80), clip(q.text, 80), listRecords(found))
}

// find returns the records of the wanted type that an answer has for name, or for what name is an alias of.
func (q *question) find(answer []dns.RR, name string) []dns.RR {
	if q.kind != dns.TypeCNAME && q.kind != dns.TypeANY {
		for range maxAliases {
			i := slices.IndexFunc(answer, func(r dns.RR) bool {
				return r.Header().Rrtype == dns.TypeCNAME && strings.EqualFold(r.Header().Name, name)
			})
			if i < 0 {
				break
			}
			alias, ok := answer[i].(*dns.CNAME)
			if !ok {
				break
			}
			name = alias.Target
		}
	}
	var found []dns.RR
	for _, r := range answer {
		h := r.Header()
		if (h.Rrtype == q.kind || q.kind == dns.TypeANY) && h.Class == dns.ClassINET && strings.EqualFold(h.Name, name) {
			found = append(found, r)
		}
	}
	return found
}

// matches reports whether the data of a record is what the check expects: addresses and names in any way of writing
// them, the strings of a TXT record joined.
func (q *question) matches(r dns.RR) bool {
	if recordData(r) == q.text {
		return true
	}
	switch {
	case q.kind == dns.TypeANY:
		return strings.EqualFold(strings.TrimSuffix(recordData(r), "."), strings.TrimSuffix(q.text, "."))
	case q.record == nil:
		return false
	}
	wanted := dns.Copy(q.record)
	*wanted.Header() = *r.Header()
	return dns.IsDuplicate(r, wanted)
}

// recordData returns the data of a record as people write it.
func recordData(r dns.RR) string {
	switch r := r.(type) {
	case *dns.TXT:
		return joinedStrings(r.Txt)
	case *dns.SPF:
		return joinedStrings(r.Txt)
	}
	return strings.TrimPrefix(r.String(), r.Header().String())
}

// joinedStrings returns the strings of a TXT record as one, without the escapes of master files (RFC 1035, section 5.1).
func joinedStrings(parts []string) string {
	text := strings.Join(parts, "")
	if !strings.Contains(text, `\`) {
		return text
	}
	var b strings.Builder
	for i := 0; i < len(text); i++ {
		c := text[i]
		if rest := text[i+1:]; c == '\\' && rest != "" {
			c = rest[0]
			i++
			if code, err := strconv.ParseUint(rest[:min(3, len(rest))], 10, 8); err == nil && len(rest) >= 3 {
				c = byte(code)
				i += 2
			}
		}
		b.WriteByte(c)
	}
	return b.String()
}

// listRecords returns the data of the first records, for a reason.
func listRecords(records []dns.RR) string {
	if len(records) == 0 {
		return "none"
	}
	var shown []string
	for _, r := range records[:min(len(records), maxShown)] {
		shown = append(shown, clip(recordData(r), 40))
	}
	text := strings.Join(shown, ", ")
	if more := len(records) - len(shown); more > 0 {
		text += fmt.Sprintf(" and %d more", more)
	}
	return text
}
