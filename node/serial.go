package node

import "time"

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
	exports := w.view.Exports()
	if len(exports) == 0 {
		return
	}
	configured := make(map[string]uint32, len(w.config.Zones))
	for i := range w.config.Zones {
		configured[w.config.Zones[i].Name] = uint32(w.config.Zones[i].ZoneOptions.Serial)
	}
	w.serials = make(serials, len(exports))
	numbers := make(map[string]uint32, len(exports))
	isMoved := false
	for _, e := range exports {
		s := before.next(e.Zone, configured[e.Zone], e.Content.String(), now)
		w.serials[e.Zone], numbers[e.Zone] = s, s.Serial
		isMoved = isMoved || s.Serial != e.Serial
	}
	if isMoved {
		w.view = w.view.WithSerials(numbers)
	}
}

// mostUnsaved is more changes than there are between two saves of the state.
const mostUnsaved = 1000

// next is the serial number of a zone with this content. It moves exactly when the content does, always forward (RFC 1982), and
// without a configured number (0) at least to the present second: then a number is not given twice, whatever became of the saved state,
// unless there is a change in each second for long. A configured number moves it when it is ahead.
func (s serials) next(zone string, configured uint32, content string, now time.Time) zoneSerial {
	floor := configured
	if configured == 0 {
		floor = uint32(now.Unix())
	}
	last, known := s[zone]
	switch {
	case !known:
		return zoneSerial{floor, content}
	case last.Content == content && (configured == 0 || !isAfter(configured, last.Serial)):
		return last
	}
	number := last.Serial + 1
	if last.Content == "" && configured != 0 { // numbers may have been lost, and the time does not lead past them
		number = last.Serial + mostUnsaved
	}
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
