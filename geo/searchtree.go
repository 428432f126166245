package geo

import (
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/oschwald/maxminddb-golang/v2"
)

// checkTree makes sure that a walk over the search tree of a file ends: it wants every node to have one parent, except the
// root, which has none, and the node at ::/96, which stands for all of IPv4 and of which IPv6 may have any number of
// aliases. In a damaged file a node may be its own descendant, or there may be so many ways to it that the walk would take
// years. A cycle through ::/96 is not found here: there the walk of the library ends with an error, at a depth of 128. The
// library has made sure already that the tree, and the 16 octets of zero after it, end before the file does.
func checkTree(content []byte, m maxminddb.Metadata) error {
	if m.RecordSize != 24 && m.RecordSize != 28 && m.RecordSize != 32 {
		return fmt.Errorf("record_size is %d, want 24, 28 or 32", m.RecordSize)
	}
	size := m.NodeCount * m.RecordSize / 4
	if [16]byte(content[size:]) != [16]byte{} {
		return errors.New("what follows its search tree is not 0")
	}
	tree := content[:size]
	ipv4 := ipv4Node(tree, m)
	reached := newBitset(m.NodeCount)
	for node := range m.NodeCount {
		left, right := children(tree, node, m.RecordSize)
		for _, child := range [...]uint{left, right} {
			if child < m.NodeCount && child != ipv4 && (reached.add(child) || child == 0) {
				return fmt.Errorf("node %d of its search tree is reached in two ways", child)
			}
		}
	}
	return nil
}

// ipv4Node is the node at ::/96, or the number of nodes when there is none.
func ipv4Node(tree []byte, m maxminddb.Metadata) uint {
	node := uint(0)
	if m.IPVersion == 4 {
		return m.NodeCount
	}
	for depth := 0; depth < 96 && node < m.NodeCount; depth++ {
		node, _ = children(tree, node, m.RecordSize)
	}
	return min(node, m.NodeCount)
}

// children are the two records of a node: the number of another node, or the number of nodes for nothing, or a larger one
// for data.
func children(tree []byte, node, recordSize uint) (left, right uint) {
	switch recordSize {
	case 24:
		b := tree[6*node : 6*node+6]
		return uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]), uint(b[3])<<16 | uint(b[4])<<8 | uint(b[5])
	case 28:
		b := tree[7*node : 7*node+7]
		return uint(b[3]>>4)<<24 | uint(b[0])<<16 | uint(b[1])<<8 | uint(b[2]),
			uint(b[3]&15)<<24 | uint(b[4])<<16 | uint(b[5])<<8 | uint(b[6])
	default:
		b := tree[8*node : 8*node+8]
		return uint(binary.BigEndian.Uint32(b)), uint(binary.BigEndian.Uint32(b[4:]))
	}
}

// bitset is a set of small numbers.
type bitset []uint64

// newBitset makes a set for numbers below n.
func newBitset(n uint) bitset { return make(bitset, n/64+1) }

// add adds i and reports whether it was there before.
func (s bitset) add(i uint) bool {
	word, bit := &s[i/64], uint64(1)<<(i%64)
	had := *word&bit != 0
	*word |= bit
	return had
}
