package dashboard

import (
	"net/http"
	"time"

	"gtmd/admin"
)

// livePause is between two words of change: a thousand changes a second are a few.
const livePause = 300 * time.Millisecond

// live tells a page when something has changed, as server-sent events: "changed", and nothing of what. It ends with the
// request, or the server.
func (d *dashboard) live(w http.ResponseWriter, r *http.Request) {
	changed, end := d.backend.Watch()
	defer end()
	stream, ok := admin.OpenStream(w, r)
	if !ok {
		return
	}
	defer stream.Close()
	beat := time.NewTicker(admin.StreamBeat)
	defer beat.Stop()
	err := stream.Send("", "hello", []byte("\n"))
	for err == nil {
		select {
		case <-stream.Done():
			return
		case <-beat.C:
			err = stream.Beat()
			continue
		case <-changed:
			err = stream.Send("", "changed", []byte("\n"))
		}
		select {
		case <-stream.Done():
			return
		case <-time.After(livePause):
		}
	}
}
