package server

import (
	"encoding/binary"
	"math/bits"
	"net/netip"
	"sync/atomic"
	"time"
)

// askers remembers, in a fixed amount of memory, which sources have asked for which access domains: the resolvers of a CDN, if
// it takes its origin from here. All workers share it. What is remembered of a source is written at most once a second, so
// that a query does nothing but read, and takes no lock.
//
// A source with an instance has the entries of its bucket, which a keyed hash chooses: nobody can pick the bucket of another.
// When all are taken, a newcomer gets the place of one with less claim, and of those with equal claim that of the one that
// asked longest ago:
//
//	asked within one second only      no claim, after that second
//	asked again, in another second    claim for keepAgain from the last query on
//	proven not to be forged           claim for keepProven from the last query on
//
// The address of a query over TCP, or with a cookie of ours, is proven. Such a newcomer gets the place of whoever is not
// proven, or else of the one that asked longest ago. So queries with forged sources, random ones, push out neither who is
// proven nor who asks again and again; while they come, a newcomer is seen for long only when it is proven.
type askers struct {
	seed    [2]uint64
	buckets []askerBucket // as many as a power of two
	// versions are those of the buckets: odd while one is written to.
	versions []atomic.Uint32
	// lost is the second, as of clock.wall, in which one that had asked within the hour was forgotten, or a newcomer had no place;
	// 0: never.
	lost atomic.Uint32
}

// askerBuckets times four is how many sources are remembered. They take 1 MiB.
const askerBuckets = 8192

// The claims, in seconds.
const (
	keepAgain  = 15 * 60
	keepProven = 60 * 60
)

// askerBucket is two cache lines, which the processor fetches together.
type askerBucket [4]askerEntry

// askerEntry is one source. The zero value is free.
type askerEntry struct {
	high, low atomic.Uint64 // its address, IPv4 mapped
	// whose is the number of the instance plus one, shifted by traitBits, and the traits.
	whose atomic.Uint64
	// times are the seconds of the first and of the last query, as of clock.wall.
	times atomic.Uint64
}

// The traits of an entry.
const (
	traitSubnet uint64 = 1 << iota // the first query of the last second had a client subnet
	traitProven                    // the address is not forged
	traitBits   = iota
	traitMask   = 1<<traitBits - 1
)

func newAskers() *askers {
	return &askers{
		seed: [2]uint64{seed(), seed()}, buckets: make([]askerBucket, askerBuckets), versions: make([]atomic.Uint32, askerBuckets),
	}
}

// note notes that source, an unmapped address, has asked for the access domain of an instance by its number.
func (a *askers) note(number int, source netip.Addr, now uint32, traits uint64) {
	address := source.As16()
	high, low := binary.BigEndian.Uint64(address[:8]), binary.BigEndian.Uint64(address[8:])
	whose := uint64(number+1) << traitBits
	product, rest := bits.Mul64(high^whose*golden^a.seed[0], low^a.seed[1])
	i := (product ^ rest) & uint64(len(a.buckets)-1)
	bucket := &a.buckets[i]
	for j := range bucket {
		e := &bucket[j]
		if e.low.Load() != low || e.high.Load() != high {
			continue
		}
		held := e.whose.Load()
		if held&^traitMask != whose {
			continue
		}
		if times := e.times.Load(); uint32(times) != now || traits&^held&traitProven != 0 {
			a.write(i, e, held, times, seenEntry{high, low, whose | traits | held&traitProven, times&^0xffffffff | uint64(now)})
		}
		return
	}
	a.admit(i, now, seenEntry{high, low, whose | traits, uint64(now)<<32 | uint64(now)})
}

// seenEntry is what an entry says.
type seenEntry struct{ high, low, whose, times uint64 }

// write writes to an entry of a bucket that is still as it was seen. When another worker writes to the bucket just now, it does
// nothing: the next query of the source will.
func (a *askers) write(bucket uint64, e *askerEntry, whose, times uint64, one seenEntry) {
	version := &a.versions[bucket]
	before := version.Load()
	if before%2 != 0 || !version.CompareAndSwap(before, before+1) {
		return
	}
	if e.whose.Load() == whose && e.times.Load() == times {
		e.high.Store(one.high)
		e.low.Store(one.low)
		e.whose.Store(one.whose)
		e.times.Store(one.times)
	}
	version.Store(before + 2)
}

// admit gives a newcomer the place in a bucket with the least claim, if it may have that.
func (a *askers) admit(bucket uint64, now uint32, one seenEntry) {
	var place *askerEntry
	var whose, times uint64
	least, oldest := claimNone, int32(0)
	for j := range a.buckets[bucket] {
		e := &a.buckets[bucket][j]
		w, t := e.whose.Load(), e.times.Load()
		c, age := claimOf(w, t, now), int32(now-uint32(t))
		if place == nil || c < least || c == least && age > oldest {
			place, whose, times, least, oldest = e, w, t, c, age
		}
	}
	if least != claimNone && oldest <= keepProven {
		a.lose(now)
	}
	isProven := one.whose&traitProven != 0
	if least > claimPast && !(isProven && (least < claimProven || oldest > 0)) {
		return
	}
	a.write(bucket, place, whose, times, one)
}

// lose notes that not all who asked within the hour have a place.
func (a *askers) lose(now uint32) {
	if a.lost.Load() != now {
		a.lost.Store(now)
	}
}

// claim is how much an entry is to be kept.
type claim uint8

const (
	claimNone   claim = iota // free
	claimPast                // whoever comes may have the place
	claimNow                 // it asked in this very second: so no place changes hands more than once in a second
	claimAgain               // it asks again and again
	claimProven              // it is no forged address
)

// claimOf is the claim of an entry at a time.
func claimOf(whose, times uint64, now uint32) claim {
	first, last := uint32(times>>32), uint32(times)
	age := int32(now - last) // the clock may be set back, and an entry be of the future
	switch {
	case whose == 0:
		return claimNone
	case whose&traitProven != 0 && age <= keepProven:
		return claimProven
	case first != last && age <= keepAgain:
		return claimAgain
	case age == 0:
		return claimNow
	default:
		return claimPast
	}
}

// Asker is a source of queries for an access domain. Its times are in whole seconds.
type Asker struct {
	Instance    string
	Address     netip.Addr // of the packets: a resolver, not its client
	First, Last time.Time
	// Subnet is whether it sent a client subnet (RFC 7871) when it asked last.
	Subnet bool
	// Proven is whether it has asked over TCP, or with a cookie of ours: the address is not forged.
	Proven bool
}

// all lists every entry, in no order; names are those of the instances by number.
func (a *askers) all(names map[int]string, now time.Time) []Asker {
	var all []Asker
	for i := range a.buckets {
		for _, e := range a.read(i) {
			name, isKnown := names[int(e.whose>>traitBits)-1]
			if !isKnown {
				continue
			}
			var address [16]byte
			binary.BigEndian.PutUint64(address[:8], e.high)
			binary.BigEndian.PutUint64(address[8:], e.low)
			all = append(all, Asker{
				Instance: name, Address: netip.AddrFrom16(address).Unmap(), First: moment(uint32(e.times>>32), now), Last: moment(uint32(e.times), now),
				Subnet: e.whose&traitSubnet != 0, Proven: e.whose&traitProven != 0,
			})
		}
	}
	return all
}

// moment is the time of a second of clock.wall that is near now.
func moment(second uint32, now time.Time) time.Time {
	return time.Unix(now.Unix()-int64(int32(uint32(now.Unix())-second)), 0)
}

// read copies a bucket as it is between two writes. One that is written to all the time, which no worker does, is left out.
func (a *askers) read(bucket int) (seen []seenEntry) {
	for range 100 {
		before := a.versions[bucket].Load()
		seen = seen[:0]
		for j := range a.buckets[bucket] {
			e := &a.buckets[bucket][j]
			if one := (seenEntry{e.high.Load(), e.low.Load(), e.whose.Load(), e.times.Load()}); one.whose != 0 {
				seen = append(seen, one)
			}
		}
		if before%2 == 0 && a.versions[bucket].Load() == before {
			return seen
		}
	}
	return nil
}

// isFull reports whether within the last hour not all had a place.
func (a *askers) isFull(now time.Time) bool {
	lost := a.lost.Load()
	return lost != 0 && now.Sub(moment(lost, now)) < time.Hour
}

// asked notes who has asked for the access domain of an instance, by its number.
func (r *Responder) asked(number int, source netip.Addr, isKnown bool) {
	now, traits := r.clock.wall.Load(), uint64(0)
	if r.query.HasSubnet {
		traits |= traitSubnet
	}
	if isKnown || !r.count.udp {
		traits |= traitProven
	}
	r.count.asked(number, now)
	r.askers.note(number, source, now, traits)
}

// asked notes the second in which an access domain was asked for. The counter under the number of an instance holds that.
func (c *counters) asked(number int, now uint32) {
	if chunks := *c.answers.Load(); number < len(chunks)*answerChunkLen {
		second := &chunks[number/answerChunkLen][number%answerChunkLen]
		if second.Load() != uint64(now) {
			second.Store(uint64(now))
		}
	}
}

// Askers are the sources that have asked for access domains lately, in no order, each with each instance once; instances are
// told apart by name, so those that a configuration no longer has are among them. Forgotten is whether within the last hour
// there were more than fit in memory.
func (s *Stats) Askers() (all []Asker, forgotten bool) {
	now := time.Now()
	s.mu.Lock()
	names := make(map[int]string, len(s.instances))
	for _, name := range s.instances {
		names[s.keys[instanceKey(name)]] = name
	}
	s.mu.Unlock()
	return s.askers.all(names, now), s.askers.isFull(now)
}

// LastAsked is when the access domain of an instance was last asked for, in whole seconds; the zero time: not yet.
func (s *Stats) LastAsked(instance string) time.Time {
	second := uint32(0)
	s.mu.Lock()
	defer s.mu.Unlock()
	if n, known := s.keys[instanceKey(instance)]; known {
		for _, c := range s.workers {
			second = max(second, uint32((*c.answers.Load())[n/answerChunkLen][n%answerChunkLen].Load()))
		}
	}
	if second == 0 {
		return time.Time{}
	}
	return moment(second, time.Now())
}
