package healthcheck

import (
	"context"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// turnLog is a log that keeps the turns of verdicts, with their times.
type turnLog struct {
	days        map[string]*subject
	mu          sync.Mutex // Guards the following, and the turns of days.
	blind, sees int
}

func (l *turnLog) logger() *slog.Logger                     { return slog.New(l) }
func (l *turnLog) Enabled(context.Context, slog.Level) bool { return true }
func (l *turnLog) WithAttrs([]slog.Attr) slog.Handler       { return l }
func (l *turnLog) WithGroup(string) slog.Handler            { return l }
func (l *turnLog) Handle(_ context.Context, r slog.Record) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case strings.Contains(r.Message, "is blind"):
		l.blind++
	case strings.Contains(r.Message, "sees again"):
		l.sees++
	case r.Message == "verdict turned":
		var id, to string
		r.Attrs(func(a slog.Attr) bool {
			switch a.Key {
			case "target":
				id = a.Value.String()
			case "to":
				to = a.Value.String()
			}
			return true
		})
		l.days[id].turns = append(l.days[id].turns, turnLine{time.Now(), to})
	}
	return nil
}
