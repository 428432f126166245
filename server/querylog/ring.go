package querylog

import (
	"net/netip"
	"sync/atomic"
	"time"

	"gtmd/server/view"
)

// ring holds entries between the workers, any number of them, and the one goroutine that reads. Nobody waits: who finds it full
// goes on. It is the bounded queue of D. Vyukov: tickets are drawn from tail, and the turn of a slot says whose it is.
type ring struct {
	slots []slot
	_     [64]byte      // keeps the workers' tail off the line of what nobody writes
	tail  atomic.Uint64 // the next ticket, with sealed
	_     [56]byte
	head  uint64 // the next ticket to read; of the reader alone
}

// sealed in the tail of a ring says that no ticket is given out any more.
const sealed = 1 << 63

// slot is the memory of one entry. Between reserve and publish it belongs to a worker, between take and release to the
// reader.
type slot struct {
	// turn is the ticket that may fill the slot, or that ticket plus one when it is filled.
	turn atomic.Uint64

	at             time.Time
	client, server netip.AddrPort
	transport      Transport
	rcode          uint16
	hit            view.Hit
	// query and reply lie in memory. They are nil, or for the reply its beginning, where that has no room for them whole.
	query, reply []byte
	replyLen     int // of the whole reply
	memory       []byte
}

// newRing returns a ring for n entries, 2 or more, with room octets for the messages of each.
func newRing(n, room int) *ring {
	r := &ring{slots: make([]slot, n)}
	memory := make([]byte, n*room)
	for i := range r.slots {
		r.slots[i].turn.Store(uint64(i))
		r.slots[i].memory = memory[i*room : (i+1)*room : (i+1)*room]
	}
	return r
}

// reserve returns a slot to fill and its ticket; nil when the ring is full or sealed.
func (r *ring) reserve() (*slot, uint64) {
	for {
		ticket := r.tail.Load()
		if ticket&sealed != 0 {
			return nil, 0
		}
		s := &r.slots[ticket%uint64(len(r.slots))]
		switch turn := s.turn.Load(); {
		case turn < ticket:
			return nil, 0 // filled in the last round, and not read yet
		case turn == ticket && r.tail.CompareAndSwap(ticket, ticket+1):
			return s, ticket
		}
		// Another worker was faster.
	}
}

// publish gives a slot that was filled to the reader.
func (s *slot) publish(ticket uint64) { s.turn.Store(ticket + 1) }

// take returns the oldest entry; nil when it is not there yet.
func (r *ring) take() *slot {
	s := &r.slots[r.head%uint64(len(r.slots))]
	if s.turn.Load() != r.head+1 {
		return nil
	}
	return s
}

// release gives back the slot that take returned. It lets go of the hit, whose view may be an old one.
func (r *ring) release(s *slot) {
	s.hit = view.Hit{}
	s.turn.Store(r.head + uint64(len(r.slots)))
	r.head++
}

// seal makes the ring take no more entries.
func (r *ring) seal() { r.tail.Or(sealed) }

// isDrained reports whether a sealed ring has been read to its end, with what workers were still filling when it was sealed.
func (r *ring) isDrained() bool { return r.head == r.tail.Load()&^sealed }

// fill copies an entry into the slot: the query only when it is wanted.
func (s *slot) fill(e *Entry, at time.Time, wantsQuery bool) {
	s.at, s.client, s.server, s.transport, s.rcode, s.hit = at, e.Client, e.Server, e.Transport, e.RCode, e.Hit
	n := copy(s.memory, e.Reply)
	s.reply, s.replyLen, s.query = s.memory[:n], len(e.Reply), nil
	if rest := s.memory[n:]; wantsQuery && len(e.Query) <= len(rest) {
		s.query = rest[:copy(rest, e.Query)]
	}
}

// isCut reports whether the slot has only the beginning of the reply.
func (s *slot) isCut() bool { return len(s.reply) < s.replyLen }
