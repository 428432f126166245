package admin

import (
	"encoding/json"
	"net/http"
	"slices"
	"strconv"
	"time"
)

// Bounds of the stream of events.
const (
	// streamPause is between two looks at the events: a thousand changes a second are a few looks.
	streamPause = 100 * time.Millisecond
	// streamLife is how long a stream lasts; a client then asks again, and shows that it still may.
	streamLife = time.Hour
)

// streamEvents sends each event that fits a query as it happens. It begins behind the event of the header Last-Event-ID, or of the key
// after; without both with the next event.
func (s *Server) streamEvents(w http.ResponseWriter, r *http.Request) {
	q := newQuery(r, eventKeys...)
	wanted := eventQuery(q)
	if wanted.Before != 0 || !wanted.Until.IsZero() {
		q.problem("before and until: a stream has no end")
	}
	after := wanted.After
	if last := r.Header.Get("Last-Event-ID"); last != "" {
		id, err := strconv.ParseUint(last, 10, 64)
		if err != nil {
			q.problem("header Last-Event-ID: want the number of an event")
		}
		after = id
	}
	if refuseQuery(w, q) {
		return
	}
	changed, end := s.backend.Watch() // first of all, so that nothing happens unseen
	defer end()
	if after == 0 {
		after = s.backend.Events(EventQuery{Limit: 1}).Latest
	}
	stream, ok := OpenStream(w, r)
	if !ok {
		return
	}
	defer stream.Close()
	// Whoever is cut off before the first event comes back with this ID, and misses nothing that has happened meanwhile.
	if after != 0 && stream.Mark(strconv.FormatUint(after, 10)) != nil {
		return
	}
	beat, life := time.NewTicker(StreamBeat), time.NewTimer(streamLife)
	defer beat.Stop()
	defer life.Stop()
	for {
		var err error
		if after, err = s.sendEvents(stream, wanted, after); err != nil {
			return
		}
		select {
		case <-stream.Done():
			return
		case <-life.C:
			return
		case <-beat.C:
			if stream.Beat() != nil {
				return
			}
			continue
		case <-changed:
		}
		select {
		case <-stream.Done():
			return
		case <-time.After(streamPause):
		}
	}
}

// sendEvents sends the events behind one, and returns the ID of the last that was sent.
func (s *Server) sendEvents(stream *Stream, wanted EventQuery, after uint64) (uint64, error) {
	for {
		wanted.After, wanted.Limit = after, MaxEvents
		list := s.backend.Events(wanted)
		if after == 0 { // there were no events at all: these are the latest first
			slices.Reverse(list.Events)
		}
		for _, e := range list.Events {
			text, err := json.Marshal(e)
			if err != nil {
				return after, err
			}
			if err := stream.Send(strconv.FormatUint(e.ID, 10), "", text); err != nil {
				return after, err
			}
			after = e.ID
		}
		if !list.More || len(list.Events) == 0 {
			return after, nil
		}
		select {
		case <-stream.Done():
			return after, nil
		default:
		}
	}
}
