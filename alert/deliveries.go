package alert

import (
	"bytes"
	"encoding/json"
	"errors"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"sync"
)

const (
	deliveriesFile = "deliveries.jsonl"
	// maxDeliveries is how many attempts are remembered.
	maxDeliveries = 1000
)

// deliveryLog is the log of attempts, in memory and on disk, a line each. On disk before the next message of a route is made, it
// also tells which messages of the saved state were delivered after that was saved. Safe for concurrent use.
type deliveryLog struct {
	path string // "": in memory only
	log  *slog.Logger

	mu       sync.Mutex // guards what follows
	latest   []Delivery // The oldest first.
	file     *os.File   // Nil until something is written.
	lines    int        // In the file.
	isTorn   bool       // The last line of the file has no end.
	isFailed bool
}

// open reads what is there. Lines that cannot be read are set aside with their file.
func (l *deliveryLog) open(dir string) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.path = filepath.Join(dir, deliveriesFile)
	text, err := os.ReadFile(l.path)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			l.log.Error("the log of alert deliveries cannot be read", "error", err)
		}
		return
	}
	isBad := false
	var read []Delivery
	for line := range bytes.Lines(text) {
		var d Delivery
		l.lines++
		if !bytes.HasSuffix(line, []byte("\n")) {
			l.isTorn = true // by a power cut or a kill while it was written
		}
		if err := json.Unmarshal(line, &d); err != nil {
			isBad = isBad || !l.isTorn
			continue
		}
		read = append(read, d)
	}
	l.latest = append(read, l.latest...)
	l.trim()
	if isBad {
		aside := setAside(l.path)
		l.log.Error("the log of alert deliveries has lines that cannot be read: it is kept aside, and the good lines go on", "file", aside)
		l.rewrite()
	}
}

// isLanded tells what became of a message, where its last attempt is in the log.
func (l *deliveryLog) landed(name routeName, id string) (o outcome, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, d := range slices.Backward(l.latest) {
		if d.ID == id && d.Group == name.group && d.Method == name.method && d.IsLast {
			switch {
			case d.Error == "":
				return delivered, true
			case d.IsExpired:
				return expired, true
			}
			return rejected, true
		}
	}
	return "", false
}

// add appends an attempt; with sync it lasts when add returns.
func (l *deliveryLog) add(d Delivery) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.latest = append(l.latest, d)
	l.trim()
	if l.path == "" {
		return
	}
	l.check(l.append(d))
}

func (l *deliveryLog) trim() {
	if n := len(l.latest); n > maxDeliveries {
		l.latest = slices.Delete(l.latest, 0, n-maxDeliveries)
	}
}

func (l *deliveryLog) append(d Delivery) error {
	line, err := json.Marshal(d)
	if err != nil {
		return err
	}
	if l.file == nil {
		if l.file, err = os.OpenFile(l.path, os.O_WRONLY|os.O_APPEND|os.O_CREATE, 0o640); err != nil {
			l.file = nil
			return err
		}
	}
	line = append(line, '\n')
	if l.isTorn {
		line = append([]byte{'\n'}, line...)
	}
	n, err := l.file.Write(line)
	l.isTorn = err != nil && (n > 0 || l.isTorn)
	if err == nil {
		l.lines++
		err = l.file.Sync()
	}
	return err
}

// check logs an error once, and when it is over.
func (l *deliveryLog) check(err error) {
	switch {
	case err != nil && !l.isFailed:
		l.log.Error("alert deliveries are not logged on disk: after a kill some might be told twice", "error", err)
	case err == nil && l.isFailed:
		l.log.Info("alert deliveries are logged on disk again")
	}
	l.isFailed = err != nil
}

// compact shortens the file when it has grown. The state must have been saved after the attempts that go.
func (l *deliveryLog) compact() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.path != "" && l.lines > 2*maxDeliveries {
		l.check(l.rewrite())
	}
}

// rewrite replaces the file by the latest attempts.
func (l *deliveryLog) rewrite() error {
	var text bytes.Buffer
	for _, d := range l.latest {
		line, err := json.Marshal(d)
		if err != nil {
			return err
		}
		text.Write(append(line, '\n'))
	}
	if err := replaceFile(l.path, text.Bytes()); err != nil {
		return err
	}
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
	l.lines, l.isTorn = len(l.latest), false
	return nil
}

// all are the latest attempts, the latest first.
func (l *deliveryLog) all() []Delivery {
	l.mu.Lock()
	defer l.mu.Unlock()
	all := slices.Clone(l.latest)
	slices.Reverse(all)
	return all
}

// close closes the file.
func (l *deliveryLog) close() {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.file != nil {
		l.file.Close()
		l.file = nil
	}
}
