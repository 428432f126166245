package view

import (
	"encoding/binary"
	"fmt"

	"github.com/miekg/dns"
)

// Served are the records that clients of a policy may get for questions of the slot's family, read from the packed answers: those
// of every region of the policy, each once and in their order, and how many there are. No more than limit are returned. Where the
// set in force has a weight, a client gets some of them. The slot must be one of the instances that the view was built from.
func (v *View) Served(s Slot, limit int) (records []dns.RR, count int, err error) {
	a := &v.accesses[s.Instance]
	r := a.regions[s.Family]
	if r == nil {
		return nil, 0, nil
	}
	question := new(dns.Msg)
	question.SetQuestion(a.instance.AccessDomain, dns.TypeA)
	packet, err := question.Pack()
	if err != nil {
		return nil, 0, fmt.Errorf("write the question for %q: %w", a.instance.AccessDomain, err)
	}
	seenBlock, seen := map[*Block]bool{}, map[string]bool{}
	for _, i := range r.of(s.Policy) {
		block := v.slots.at(a.slots[s.Family] + i)
		if block == nil || seenBlock[block] {
			continue
		}
		seenBlock[block] = true
		for g := range block.groups {
			for n := range block.groups[g].count {
				packed := block.groups[g].record(n)
				if seen[string(packed)] {
					continue
				}
				seen[string(packed)] = true
				if count++; count > limit {
					continue
				}
				rr, err := unpack(packet, packed)
				if err != nil {
					return nil, 0, fmt.Errorf("read the answer of %q: %w", a.instance.AccessDomain, err)
				}
				records = append(records, rr)
			}
		}
	}
	return records, count, nil
}

// unpack reads a packed record whose owner is the name of a question.
func unpack(question, record []byte) (dns.RR, error) {
	packet := append(append(make([]byte, 0, len(question)+len(record)), question...), record...)
	binary.BigEndian.PutUint16(packet[6:], 1) // ANCOUNT, RFC 1035 section 4.1.1
	reply := new(dns.Msg)
	if err := reply.Unpack(packet); err != nil {
		return nil, err
	}
	if len(reply.Answer) != 1 {
		return nil, fmt.Errorf("%d records in %d octets", len(reply.Answer), len(record))
	}
	return reply.Answer[0], nil
}
