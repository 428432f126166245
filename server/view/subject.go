package view

import (
	"unsafe"

	"gtmd/policy"
	"gtmd/server/wire"
)

// Kind is what an answer says, as far as limits of its rate are concerned.
type Kind uint8

// The kinds of answers.
const (
	// KindAnswer: there are records of the type asked for.
	KindAnswer Kind = iota
	// KindNegative: there is no such name, no such record, or the name is delegated.
	KindNegative
	// KindError: the query is refused.
	KindError
)

// Subject is the kind of the answer, and what it is about as a number: equal for queries that are told the same. That is
// the name and type of an access domain, of an alias or of static records, also where a wildcard answers for any number of names; the
// zone for what does not exist; the delegation. Errors are all about the same. The numbers hold until the next Build.
func (h *Hit) Subject() (Kind, uint64) {
	switch {
	case h.block != nil && len(h.block.groups) > 0:
		return KindAnswer, uint64(uintptr(unsafe.Pointer(h.node))) | uint64(h.family) // an address that is even
	case h.block != nil:
		return KindNegative, identity(h.nodata)
	case h.answer.RCode != wire.NoError && h.answer.RCode != wire.NXDomain:
		return KindError, 0
	case h.answer.RCode == wire.NXDomain || h.answer.Counts.Answer == 0:
		return KindNegative, identity(h.answer)
	}
	return KindAnswer, identity(h.answer)
}

// identity is the address of a packed answer, which a view and those replaced from it share: no other answer has it.
func identity(a *wire.Answer) uint64 { return uint64(uintptr(unsafe.Pointer(a))) }

// Fixed is the hit of an answer that is in no view.
func Fixed(a *wire.Answer) Hit { return Hit{answer: a} }

// IsFailOpen reports whether the answer is the last resort of a policy: no set had enough available addresses.
func (h *Hit) IsFailOpen() bool { return h.block != nil && h.block.Decision.Why == policy.FailOpen }
