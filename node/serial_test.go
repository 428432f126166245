package node

import (
	"testing"
	"time"
)

// TestSerial is the truth table of serial numbers: they move exactly when the content does, never back (RFC 1982).
func TestSerial(t *testing.T) {
	now := time.Unix(1_800_000_000, 0)
	const seconds = 1_800_000_000
	for _, row := range []struct {
		name       string
		configured uint32
		last       *zoneSerial
		content    string
		want       uint32
	}{
		{"first", 0, nil, "a", seconds},
		{"first, configured", 7, nil, "a", 7},
		{"same content", 0, &zoneSerial{5, "a"}, "a", 5},
		{"other content", 0, &zoneSerial{5, "a"}, "b", seconds},
		{"second change in a second", 0, &zoneSerial{seconds, "a"}, "b", seconds + 1},
		{"clock set back", 0, &zoneSerial{seconds + 500, "a"}, "b", seconds + 501},
		{"ahead of the clock by a date", 0, &zoneSerial{2026112601, "a"}, "b", 2026112602},
		{"over the end of the circle", 7, &zoneSerial{0xffffffff, "a"}, "b", 7},
		{"over the end of the circle, nothing configured ahead", 0xfffffff0, &zoneSerial{0xffffffff, "a"}, "b", 0},
		{"unknown content", 0, &zoneSerial{5, ""}, "a", seconds},
		{"unknown content, configured: numbers up to 1008 may have been given", 7, &zoneSerial{9, ""}, "a", 1009},
		{"configured, other content", 7, &zoneSerial{7, "a"}, "b", 8},
		{"configured, same content", 7, &zoneSerial{9, "a"}, "a", 9},
		{"configured ahead, same content", 20, &zoneSerial{9, "a"}, "a", 20},
		{"configured ahead, other content", 20, &zoneSerial{9, "a"}, "b", 20},
		{"configured behind", 3, &zoneSerial{9, "a"}, "b", 10},
	} {
		last := serials{"other.": {1, "x"}}
		if row.last != nil {
			last["z."] = *row.last
		}
		if got := last.next("z.", row.configured, row.content, now); got != (zoneSerial{row.want, row.content}) {
			t.Errorf("%s: %v, want %d", row.name, got, row.want)
		}
	}
}

// TestSavedSerials: what a number stands for is known only of a state that was saved at the end.
func TestSavedSerials(t *testing.T) {
	for _, ended := range []bool{true, false} {
		b := stateBody{Serials: serials{"z.": {5, "a"}}, Ended: ended}
		want := zoneSerial{5, "a"}
		if !ended {
			want.Content = ""
		}
		if got := b.serials()["z."]; got != want {
			t.Errorf("ended %t: %v, want %v", ended, got, want)
		}
	}
}
