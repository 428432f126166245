package alert

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"
)

// photographer is a Sender that copies the state directory while a message is under way: what a kill at that moment leaves.
type photographer struct {
	addressee
	from, to string
}

func (p *photographer) Send(ctx context.Context, m *Message) error {
	if err := os.CopyFS(p.to, os.DirFS(p.from)); err != nil && !errors.Is(err, os.ErrExist) {
		return err
	}
	return p.addressee.Send(ctx, m)
}

// TestKill kills the process while a message is under way, and right after it was delivered, before anything else is written.
func TestKill(t *testing.T) {
	for _, isLogged := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			s.start(ops("mail"))
			camera := &photographer{from: s.dir, to: t.TempDir()}
			s.mu.Lock()
			s.routes[0].sender = camera
			s.mu.Unlock()
			s.Post(down("a"))
			s.after(10 * time.Second)
			if isLogged {
				const name = "alerts/" + deliveriesFile
				text, err := os.ReadFile(filepath.Join(s.dir, name))
				if err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(filepath.Join(camera.to, name), text, 0o600); err != nil {
					t.Fatal(err)
				}
			}
			s.stop()
			first := camera.messages()[0].ID
			s.dir = camera.to
			s.start(ops("mail"))
			defer s.stop()
			s.Post(down("a")) // told by a caller that does not know better
			s.after(time.Hour)
			again := s.receivers["mail"].messages()
			switch {
			case isLogged && len(again) != 0:
				t.Errorf("told again: %q", s.receivers["mail"].titles())
			case !isLogged && (len(again) != 1 || again[0].ID != first):
				t.Errorf("%d messages after the kill, want the one under way with its ID", len(again))
			}
			s.Post(up("a"))
			s.after(time.Hour)
			if n := len(s.receivers["mail"].messages()) - len(again); n != 1 {
				t.Errorf("%d messages of the end, want 1", n)
			}
		})
	}
}

// TestClose has an attempt under way be waited for, and given up when that takes too long.
func TestClose(t *testing.T) {
	for _, hang := range []time.Duration{5 * time.Second, time.Hour} {
		synctest.Test(t, func(t *testing.T) {
			s := newStage(t)
			g := ops("mail")
			g.Methods[0].Timeout = time.Hour
			s.start(g)
			mail := s.receivers["mail"]
			mail.hang = hang
			s.Post(down("a"))
			s.after(3 * time.Second)
			start := time.Now()
			ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
			defer cancel()
			s.Close(ctx)
			if took := time.Since(start); took > 10*time.Second {
				t.Errorf("took %v", took)
			}
			mail.hang = 0
			s.start(g)
			defer s.stop()
			s.after(time.Minute)
			if got := mail.titles(); got != "address a is down" {
				t.Errorf("attempt of %v: messages %q", hang, got)
			}
		})
	}
}
