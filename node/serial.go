package node

import (
	"time"

	"gtmd/config"
)

// serials are the serial numbers of the zones that have secondaries, by zone. Immutable.
type serials map[string]zoneSerial

// zoneSerial is a serial number, and what it stands for.
type zoneSerial struct {
	Serial uint32 `json:"serial"`
	// Content is the digest of what a transfer gives. Empty: unknown, so that the next serial number is another.
	Content string `json:"content"`
}

// number gives the zones of a world that comes after others, and is not published yet, their serial numbers.
func (w *world) number(before serials, now time.Time) {
	w.serials = nil
	numbers := map[string]uint32{}
	isMoved := false
	for _, e := range w.view.Exports() {
		if w.serials == nil {
			w.serials = serials{}
		}
		s := before.next(w.config, e.Zone, e.Content.String(), now)
		w.serials[e.Zone], numbers[e.Zone] = s, s.Serial
		isMoved = isMoved || s.Serial != e.Serial
	}
	if isMoved {
		w.view = w.view.WithSerials(numbers)
	}
}

// next is the serial number of a zone with this content. It moves exactly when the content does, always forward (RFC 1982), and
// without a configured number at least to the present second: then a number is not given twice, whatever became of the saved state,
// unless there is a change in each second for long. A configured number moves it when it is ahead.
func (s serials) next(c *config.Config, zone, content string, now time.Time) zoneSerial {
	configured, floor := uint32(0), uint32(now.Unix())
	for i := range c.Zones {
		if c.Zones[i].Name == zone && c.Zones[i].ZoneOptions.Serial != 0 {
			configured, floor = c.Zones[i].Serial, c.Zones[i].Serial
		}
	}
	last, known := s[zone]
	switch {
	case !known:
		return zoneSerial{floor, content}
	case last.Content == content && (configured == 0 || !isAfter(configured, last.Serial)):
		return last
	}
	number := last.Serial + 1
	if isAfter(floor, number) {
		number = floor
	}
	return zoneSerial{number, content}
}

// isAfter orders serial numbers (RFC 1982 section 3.2).
func isAfter(a, b uint32) bool { return int32(a-b) > 0 }

// serials are those saved. What they stand for is known only when nothing was served after they were saved: what was published
// later and is lost may have had the next number.
func (b *stateBody) serials() serials {
	saved := make(serials, len(b.Serials))
	for zone, s := range b.Serials {
		if !b.Ended {
			s.Content = ""
		}
		saved[zone] = s
	}
	return saved
}
