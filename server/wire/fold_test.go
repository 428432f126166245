package wire

import (
	"bytes"
	"encoding/binary"
	"math/rand/v2"
	"testing"
)

// foldEight folds each octet as fold does, whatever its neighbours are.
func TestFoldEight(t *testing.T) {
	random := rand.New(rand.NewPCG(4, 3))
	for range 100 {
		for c := range 256 {
			var in, want [8]byte
			binary.NativeEndian.PutUint64(in[:], random.Uint64())
			in[random.IntN(8)] = byte(c)
			for i := range in {
				want[i] = fold(in[i])
			}
			var got [8]byte
			binary.NativeEndian.PutUint64(got[:], foldEight(binary.NativeEndian.Uint64(in[:])))
			if got != want {
				t.Fatalf("%q becomes %q, want %q", in, got, want)
			}
		}
	}
}

// Names of every length are folded, up to the last octet of the packet.
func TestFoldName(t *testing.T) {
	for n := 1; n <= MaxName; n++ {
		for _, behind := range []int{0, 1, 4, 8, 9} {
			var q Query
			q.nameLen = n
			q.foldName(bytes.Repeat([]byte{'Q'}, n+behind))
			if want := bytes.Repeat([]byte{'q'}, n); !bytes.Equal(q.Name(), want) {
				t.Errorf("%d octets with %d behind them: %q", n, behind, q.Name())
			}
		}
	}
}
