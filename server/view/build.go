package view

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/wire"
)

// Input is everything that a View is built from. Build keeps no reference that it would write through.
type Input struct {
	Generation uint64
	Zones      []Zone
	Map        *geo.Map
	Instances  []Instance
	// Counter gives the number under which answers of a policy and set are counted; nil: none are.
	Counter func(CounterKey) int
}

// Instance is an instance with what its policies were decided to be.
type Instance struct {
	*policy.Instance
	// Sources are the request sources of each policy.
	Sources [][]geo.Selector
	// Decisions of each policy for IPv4 and IPv6; nil exactly where the policy is not decided for that family.
	Decisions [][2]*policy.Decision
	// Latency are the rows of the latency table for pools of the instance, each source and pool once; nil for an instance
	// that does not choose by latency.
	Latency []Latency
	// RTT is this server's own round-trip time to each pool, by name, in milliseconds. It counts for clients of whom the table
	// does not tell the latency to that pool. Pools that are not in it are unknown. The map must not change.
	RTT map[string]uint32
}

// Latency is a row of the latency table: what clients from a source have to a pool.
type Latency struct {
	From geo.Selector
	Pool string
	// MS is a round-trip time in milliseconds.
	MS uint32
}

// CounterKey says what an answer is counted under. Set is the role of the set that answered, "none" for an empty answer. One
// of an instance alone numbers that, so that it is noted when and by whom its access domain is asked for.
type CounterKey struct {
	Instance, Policy string
	Family           policy.Family
	Set              string
}

// Slot names the answers of one policy of an access domain to one question type.
type Slot struct {
	Instance, Policy int
	Family           policy.Family
}

// builder is a View in the making.
type builder struct {
	view   *View
	input  Input
	names  map[string]int32 // key -> index of nodes
	access map[string]bool  // keys of access domains
	zones  []*compiler      // as in view; the zone with the longest name first
	apexes map[string]int32 // key of a zone's name -> index of zones
	errs   []error

	regions map[[sha256.Size]byte]*regions // by what they are made from
	// The classes by place and by sources; nil until they are needed.
	places, chains *sites
	distances      *distances
	// assigned is the last result of Map.Assign.
	assigned struct {
		id     string
		labels []int
	}
}

// Build compiles a View. It fails, with every reason, on input that the configuration should have refused: a zone
// without SOA, an access domain outside every zone or where something else is.
func Build(input Input) (*View, error) {
	size := input.size()
	b := &builder{
		view: &View{
			Generation: input.Generation, nodes: make([]node, 0, size), geo: input.Map,
			refused: &wire.Answer{RCode: wire.Refused},
		},
		input:   input,
		names:   make(map[string]int32, size),
		access:  make(map[string]bool, len(input.Instances)),
		apexes:  map[string]int32{},
		regions: map[[sha256.Size]byte]*regions{},
	}
	for _, in := range input.Instances {
		for name := range in.Names() {
			b.access[key(name)] = true
		}
	}
	// The longest name first: a name belongs to the nearest zone above it.
	zones := slices.Clone(input.Zones)
	slices.SortStableFunc(zones, func(x, y Zone) int { return labels(key(y.Name)) - labels(key(x.Name)) })
	for _, z := range zones {
		if c, err := b.newCompiler(z); err != nil {
			b.errs = append(b.errs, err)
		} else {
			b.zones = append(b.zones, c)
		}
	}
	for _, c := range b.zones {
		// A zone below another makes its name exist there (RFC 8020), whether it was delegated or not.
		if above := c.above(); above != nil {
			b.node(parent(c.apex), above.index, above.apex)
			if d := above.redirect(c.apex); d != "" {
				b.fail("zone %s lies below the DNAME of %s (RFC 6672 section 2.4)", text(c.apex), above.display[d])
			}
		}
	}
	for i := range input.Instances {
		b.addInstance(&input.Instances[i])
	}
	for k, i := range b.names {
		n := &b.view.nodes[i]
		b.zones[n.zone].compile(n, k)
	}
	b.finish()
	if cap(b.view.nodes) > 2*len(b.view.nodes) { // many records have the same name
		b.view.nodes = slices.Clone(b.view.nodes)
	}
	b.export()
	if err := errors.Join(b.errs...); err != nil {
		return nil, err
	}
	return b.view, nil
}

// size is how many names there are about, those between others and with several records left aside.
func (input *Input) size() int {
	count := len(input.Instances) + len(input.Zones)
	for i := range input.Instances {
		count += len(input.Instances[i].Aliases)
	}
	for i := range input.Zones {
		count += len(input.Zones[i].Records)
	}
	return count
}

func (b *builder) fail(format string, args ...any) {
	b.errs = append(b.errs, fmt.Errorf(format, args...))
}

// node returns the node of name k in a zone, making it and those between it and the apex.
func (b *builder) node(k string, zone int32, apex string) *node {
	i, found := b.names[k]
	if !found {
		i = int32(len(b.view.nodes))
		b.names[k] = i
		b.view.nodes = append(b.view.nodes, node{zone: zone, access: -1, wildcard: -1})
		b.view.depth = max(b.view.depth, labels(k))
		if k != apex {
			b.node(parent(k), zone, apex)
		}
	}
	return &b.view.nodes[i]
}

// holder is the index of the zone that holds the name k, the one with the longest name at or above it; -1: none.
func (b *builder) holder(k string) int32 {
	for {
		if i, found := b.apexes[k]; found {
			return i
		}
		if k[0] == 0 {
			return -1
		}
		k = parent(k)
	}
}

// addInstance adds the names of an instance, which share one access with regions and their slots for each family.
func (b *builder) addInstance(in *Instance) {
	for name := range in.Names() {
		b.addAccessDomain(in, name)
	}
	a := access{instance: in.Instance, sources: in.Sources, geo: b.input.Map, number: -1}
	if b.input.Counter != nil {
		a.number = b.input.Counter(CounterKey{Instance: in.Name})
	}
	for f := range a.regions {
		sources, decided := make([][]geo.Selector, len(in.Policies)), false
		for p := range in.Policies {
			if in.Policies[p].Decided[f] != nil || in.Together {
				sources[p], decided = in.Sources[p], true
			}
		}
		if !decided {
			continue
		}
		r := b.regionsOf(in, policy.Family(f), sources)
		a.regions[f], a.slots[f] = r, b.view.slots.grow(len(r.list))
		for p := range in.Policies {
			if in.Policies[p].Decided[f] != nil {
				r.pack(in, p, policy.Family(f), b.input.Counter, func(region int32, block *Block) {
					b.view.slots.set(a.slots[f]+region, block)
				})
			}
		}
	}
	b.view.accesses = append(b.view.accesses, a)
}

// addAccessDomain makes a name one that the access answers which is about to be added.
func (b *builder) addAccessDomain(in *Instance, name string) {
	k := key(name)
	z := b.holder(k)
	if z < 0 {
		b.fail("instance %q: access domain %s lies outside every zone", in.Name, name)
		return
	}
	zone := b.zones[z]
	n := b.node(k, zone.index, zone.apex)
	switch {
	case n.access >= 0:
		b.fail("instance %q: access domain %s belongs to another instance too", in.Name, name)
	case zone.cut(k) != "":
		b.fail("instance %q: access domain %s lies below a delegation", in.Name, name)
	case strings.HasPrefix(k, "\x01*"):
		b.fail("instance %q: access domain %s is a wildcard", in.Name, name)
	case zone.owners[k] != nil && (k != zone.apex || in.Together || zone.owners[k][wire.TypeA] != nil || zone.owners[k][wire.TypeAAAA] != nil):
		b.fail("instance %q: access domain %s has static records too", in.Name, name)
	}
	n.access = int32(len(b.view.accesses))
}

// finish makes the table of names, links wildcards and gives every name its negative answers.
func (b *builder) finish() {
	v := b.view
	inOrder, size := make([]string, len(v.nodes)), 0
	for k, i := range b.names {
		inOrder[i] = k
		size += len(k)
	}
	v.names = newNameTable(len(inOrder), size)
	for _, k := range inOrder {
		v.names.add(k)
	}
	for k, i := range b.names {
		n := &v.nodes[i]
		if n.other == nil {
			n.other = v.zones[n.zone].nodata
		}
		if n.any == nil {
			n.any = n.other
		}
		if wild, found := b.names["\x01*"+k]; found && v.nodes[wild].zone == n.zone {
			n.wildcard = wild
		}
	}
}

// Replace returns a View with new decisions or round-trip times for some instances. These must be those that v was built
// from, in the same order, but for the addresses of their pools; only the slots named are packed anew, all else is shared with v.
func (v *View) Replace(generation uint64, instances []Instance, slots []Slot, counter func(CounterKey) int) *View {
	next := *v
	next.Generation = generation
	if slices.ContainsFunc(slots, func(s Slot) bool { return v.accesses[s.Instance].instance != instances[s.Instance].Instance }) {
		next.accesses = slices.Clone(v.accesses)
		for i := range next.accesses {
			next.accesses[i].instance = instances[i].Instance
		}
	}
	blocks := make(map[int32]*Block, len(slots))
	for _, s := range slots {
		a := &v.accesses[s.Instance]
		a.regions[s.Family].pack(&instances[s.Instance], s.Policy, s.Family, counter, func(region int32, b *Block) {
			blocks[a.slots[s.Family]+region] = b
		})
	}
	next.slots = v.slots.replace(blocks)
	v.moveContents(&next, slots)
	return &next
}
