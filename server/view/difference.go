package view

import (
	"bytes"
	"cmp"
	"encoding/binary"
	"fmt"
	"math/big"
	"net/netip"
	"slices"
	"strings"

	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/wire"
)

// A Difference is what one view answers to a name and type in another way than another view.
type Difference struct {
	Name string
	Type uint16
	// Before and After are whether there is a record for some client. One of them is true.
	Before, After bool
	// Share is the clients who get something else, but for its TTL.
	Share geo.Share
	// Changes are the pairs of different answers, that of most clients first.
	Changes []Change
	// TTLs are the changes of TTLs, of answers that are the same but for that.
	TTLs []TTLChange
}

// A Change is an answer in place of another one.
type Change struct {
	// Clients is a network of some who see it, Client an address of it.
	Clients netip.Prefix
	Client  netip.Addr
	Share   geo.Share
	// Before and After are what they get.
	Before, After Outcome
}

// A TTLChange is a TTL, in seconds, in place of another one.
type TTLChange struct {
	Before, After uint32
	Share         geo.Share
}

// An Outcome is what some clients get for a name and type. Two are the same when no client can tell them apart, however often it
// asks, but for TTLs and serial numbers.
type Outcome struct {
	// Block is what answers; nil for everything that is no access domain's.
	Block *Block
	// Reply is the message that is sent, without a block.
	Reply *dns.Msg
	// TTL is that of the records in seconds; 0: there are none.
	TTL uint32
	id  string
}

// HasRecords reports whether there is a record of the name and type, or a delegation.
func (o *Outcome) HasRecords() bool { return !strings.HasPrefix(o.id, nothing) }

// Differences lists what next answers in another way than v, by name and type, and how many names both answer alike. Names are
// those of zones, access domains and their aliases; what a wildcard, a delegation or a DNAME says of others is the difference of its own
// name. The views may be of any Maps.
func (v *View) Differences(next *View) (all []Difference, alike int) {
	d := differ{before: v, after: next, pairs: map[[2]*geo.Plan][]geo.Pair{}, blocks: map[*Block]Outcome{}, answers: map[*wire.Answer]Outcome{}}
	for name := range v.names.all() {
		d.compare(name, &all, &alike)
	}
	for name := range next.names.all() {
		if _, is := v.names.find(name); !is {
			d.compare(name, &all, &alike)
		}
	}
	slices.SortFunc(all, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Type, b.Type))
	})
	return all, alike
}

// differ remembers what it has compared already.
type differ struct {
	before, after *View
	pairs         map[[2]*geo.Plan][]geo.Pair
	blocks        map[*Block]Outcome
	answers       map[*wire.Answer]Outcome
}

// compare adds the differences of a name.
func (d *differ) compare(name []byte, all *[]Difference, alike *int) {
	types := append(d.before.typesOf(name), d.after.typesOf(name)...)
	slices.Sort(types)
	types = slices.Compact(types)
	known := len(*all)
	for _, qtype := range types {
		if one, differs := d.compareType(name, qtype); differs {
			*all = append(*all, one)
		}
	}
	if len(types) > 0 && len(*all) == known {
		*alike++
	}
}

// compareType compares the answers to a name and type, for each pair of regions that some client is in.
func (d *differ) compareType(name []byte, qtype uint16) (Difference, bool) {
	q := question(name, qtype)
	before, after := d.before.planOf(q), d.after.planOf(q)
	out := Difference{Name: text(string(name)), Type: qtype}
	pairs := everybody
	if before != nil || after != nil {
		plans := [2]*geo.Plan{before, after}
		if d.pairs[plans] == nil {
			d.pairs[plans] = geo.ComparePlans(before, after)
		}
		pairs = d.pairs[plans]
	}
	for _, p := range pairs {
		client := p.Client()
		x, y := d.before.Lookup(q, client), d.after.Lookup(q, client)
		if isSame(&x, &y) {
			counts := &x.answer.Counts
			hasRecords := counts.Answer > 0 || counts.Authority > 0 && !x.answer.Authoritative
			out.Before, out.After = out.Before || hasRecords, out.After || hasRecords
			continue
		}
		was, is := d.outcome(q, &x), d.outcome(q, &y)
		out.Before, out.After = out.Before || was.HasRecords(), out.After || is.HasRecords()
		switch {
		case was.id != is.id:
			out.Share.IPv4, out.Share.IPv6 = out.Share.IPv4+p.Share.IPv4, out.Share.IPv6+p.Share.IPv6
			out.note(Change{Clients: p.Clients, Client: client, Share: p.Share, Before: was, After: is})
		case was.TTL != is.TTL:
			out.noteTTL(TTLChange{Before: was.TTL, After: is.TTL, Share: p.Share})
		}
	}
	slices.SortStableFunc(out.Changes, func(a, b Change) int { return -compareShares(a.Share, b.Share) })
	return out, (out.Before || out.After) && len(out.Changes)+len(out.TTLs) > 0
}

// everybody is the one pair of answers that do not depend on the client.
var everybody = []geo.Pair{{Share: geo.Share{IPv4: 1, IPv6: 1}, Clients: netip.PrefixFrom(netip.IPv4Unspecified(), 0)}}

func compareShares(a, b geo.Share) int { return cmp.Compare(a.IPv4+a.IPv6, b.IPv4+b.IPv6) }

// note adds a change to one of the same answers. Of regions that get the same, the clients are those of the largest.
func (d *Difference) note(c Change) {
	for i := range d.Changes {
		old := &d.Changes[i]
		if old.Before.id != c.Before.id || old.After.id != c.After.id {
			continue
		}
		if compareShares(c.Share, old.Share) > 0 {
			old.Clients, old.Client, old.Before, old.After = c.Clients, c.Client, c.Before, c.After
		}
		old.Share.IPv4, old.Share.IPv6 = old.Share.IPv4+c.Share.IPv4, old.Share.IPv6+c.Share.IPv6
		return
	}
	d.Changes = append(d.Changes, c)
}

func (d *Difference) noteTTL(c TTLChange) {
	for i := range d.TTLs {
		if old := &d.TTLs[i]; old.Before == c.Before && old.After == c.After {
			old.Share.IPv4, old.Share.IPv6 = old.Share.IPv4+c.Share.IPv4, old.Share.IPv6+c.Share.IPv6
			return
		}
	}
	d.TTLs = append(d.TTLs, c)
}

// isSame reports whether two hits are of the same packed answer, which is quickly seen; false: they may be.
func isSame(x, y *Hit) bool {
	if x.block != nil || y.block != nil || x.redirected != nil || y.redirected != nil {
		return false
	}
	a, b := x.answer, y.answer
	return a.RCode == b.RCode && a.Authoritative == b.Authoritative && a.Counts == b.Counts && a.Serials.Offsets == nil && b.Serials.Offsets == nil &&
		a.NameLen == b.NameLen && bytes.Equal(a.Body, b.Body)
}

// all yields the names of a table in wire form.
func (t *nameTable) all() func(yield func([]byte) bool) {
	return func(yield func([]byte) bool) {
		for text := t.text; len(text) > 0; {
			text = text[numberLen:]
			end := 0
			for text[end] != 0 {
				end += 1 + int(text[end])
			}
			if !yield(text[: end+1 : end+1]) {
				return
			}
			text = text[end+1:]
		}
	}
}

// question is a query for a name in wire form.
func question(name []byte, qtype uint16) *wire.Query {
	packet := make([]byte, wire.HeaderLen, wire.HeaderLen+len(name)+4)
	packet[5] = 1 // QDCOUNT
	packet = append(packet, name...)
	packet = binary.BigEndian.AppendUint16(packet, qtype)
	packet = binary.BigEndian.AppendUint16(packet, wire.ClassIN)
	q := new(wire.Query)
	q.Decode(packet)
	return q
}

// typesOf lists the types that a view has something for at a name of its own or of another view, in no order.
func (v *View) typesOf(name []byte) []uint16 {
	i, exact := v.closest(name, labels(string(name)))
	if i < 0 {
		return nil
	}
	n := &v.nodes[i]
	var types []uint16
	switch {
	case n.referral != nil && exact && n.cut:
		types = append(types, wire.TypeNS)
	case n.referral != nil:
		return nil // the delegation's own name tells it
	case exact:
	case n.link != nil && n.link.dname != nil:
		return []uint16{wire.TypeA}
	case n.wildcard >= 0:
		n = &v.nodes[n.wildcard]
	default:
		return nil
	}
	for _, s := range n.static {
		if s.qtype != wire.TypeNSEC && !(s.answer.RCode == wire.NoError && s.answer.Counts.Answer == 0 && s.answer.Authoritative) {
			types = append(types, s.qtype)
		}
	}
	if n.access >= 0 {
		for f, qtype := range []uint16{wire.TypeA, wire.TypeAAAA} {
			if v.accesses[n.access].regions[f] != nil {
				types = append(types, qtype)
			}
		}
	}
	return types
}

// planOf is what tells the clients of a query apart; nil: they all get the same.
func (v *View) planOf(q *wire.Query) *geo.Plan {
	hit := v.Lookup(q, netip.Addr{})
	if hit.access == nil || hit.access.regions[hit.family] == nil {
		return nil
	}
	return hit.access.regions[hit.family].plan
}

// outcome is what a hit comes to. Packed answers are read once.
func (d *differ) outcome(q *wire.Query, hit *Hit) Outcome {
	switch {
	case hit.block != nil:
		o, known := d.blocks[hit.block]
		if !known {
			o = hit.block.outcome()
			d.blocks[hit.block] = o
		}
		return o
	case hit.redirected != nil:
		return outcomeOf(q, hit)
	}
	o, known := d.answers[hit.answer]
	if !known {
		o = outcomeOf(q, hit)
		d.answers[hit.answer] = o
	}
	return o
}

// nothing begins the id of an outcome without records.
const nothing = "none "

// outcomeOf reads a reply. Owners that are the question's name are left out of the id: a wildcard gives the answer to many names.
func outcomeOf(q *wire.Query, hit *Hit) Outcome {
	reply := new(dns.Msg)
	if err := reply.Unpack(hit.Append(nil, q, 0, 0, dns.MaxMsgSize)); err != nil {
		return Outcome{Reply: reply, id: "unreadable: " + err.Error()}
	}
	o := Outcome{Reply: reply}
	sections := [][]dns.RR{reply.Answer}
	switch {
	case len(reply.Answer) == 0 && (reply.Authoritative || len(reply.Ns) == 0):
		o.id = nothing + dns.RcodeToString[reply.Rcode]
		return o
	case len(reply.Answer) == 0: // a delegation
		sections = append(sections, reply.Ns, reply.Extra)
	}
	o.id = dns.RcodeToString[reply.Rcode]
	for _, records := range sections {
		var texts []string
		for _, rr := range records {
			rr = dns.Copy(rr)
			h := rr.Header()
			if h.Rrtype == dns.TypeOPT {
				continue
			}
			if o.TTL == 0 || h.Ttl < o.TTL {
				o.TTL = h.Ttl
			}
			h.Ttl = 0
			if strings.EqualFold(h.Name, reply.Question[0].Name) {
				h.Name = "."
			}
			if soa, is := rr.(*dns.SOA); is {
				soa.Serial = 0
			}
			texts = append(texts, rr.String())
		}
		slices.Sort(texts)
		o.id += "\n" + strings.Join(texts, "\n")
	}
	return o
}

// outcome is what a block comes to.
func (b *Block) outcome() Outcome {
	o := Outcome{Block: b}
	if len(b.groups) == 0 {
		o.id = nothing + dns.RcodeToString[dns.RcodeSuccess]
		return o
	}
	o.TTL, o.id = b.ttl(), lawOf(b.Answer)
	return o
}

// ttl is that of the records of a block, which is not empty: it stands behind the pointer to the name, the type and the class.
func (b *Block) ttl() uint32 { return binary.BigEndian.Uint32(b.groups[0].records[6:]) }

// lawOf is the same for two answers that give the same records equally often: how likely each is, in lowest terms.
func lawOf(a policy.Answer) string {
	likely := map[string]*big.Rat{}
	add := func(what string, part *big.Rat) {
		if likely[what] == nil {
			likely[what] = new(big.Rat)
		}
		likely[what].Add(likely[what], part)
	}
	groups := uint64(0)
	for _, g := range a.Groups {
		groups += g.Weight
	}
	for _, g := range a.Groups {
		part, weights := ratio(g.Weight, groups), uint64(0)
		for _, r := range g.Records {
			weights += r.Weight
		}
		if g.Balance != policy.BalanceWeight || len(g.Records) == 1 {
			add(unchosen(g, weights), part)
			continue
		}
		for _, r := range g.Records {
			add(r.Address.Name, new(big.Rat).Mul(part, ratio(r.Weight, weights)))
		}
	}
	var b strings.Builder
	for _, what := range sortedKeys(likely) {
		if likely[what].Sign() > 0 {
			fmt.Fprintf(&b, "%s: %s\n", likely[what].RatString(), what)
		}
	}
	return b.String()
}

// ratio is a share of a whole; of nothing it is everything.
func ratio(part, whole uint64) *big.Rat {
	if whole == 0 {
		return big.NewRat(1, 1)
	}
	return new(big.Rat).SetFrac(new(big.Int).SetUint64(part), new(big.Int).SetUint64(whole))
}

// unchosen names what a group gives of which no record is drawn.
func unchosen(g policy.Group, weights uint64) string {
	names := make([]string, len(g.Records))
	for i, r := range g.Records {
		names[i] = r.Address.Name
		if g.Balance == policy.BalanceSticky && len(g.Records) > 1 {
			names[i] += "*" + ratio(r.Weight, weights).RatString()
		}
	}
	switch {
	case len(names) == 1:
		return names[0]
	case g.Balance == policy.BalanceAll && g.MaxAnswers > 0 && g.MaxAnswers < len(names):
		return fmt.Sprintf("%d of %s", g.MaxAnswers, strings.Join(names, " ")) // those that stand together come together
	}
	slices.Sort(names)
	return string(g.Balance) + " " + strings.Join(names, " ")
}
