package node

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"

	"gtmd/admin"
)

// eventsFile is the name of the event file in the state directory; older ones have ".1", ".2" and so on behind it.
const eventsFile = "events.jsonl"

const (
	eventFileSize  = 8 << 20
	eventFilesKept = 4
)

// eventFile is a file with a line of JSON for each event. It is used by one goroutine.
type eventFile struct {
	dir  func() string
	size int64 // from which on the file is put aside
	keep int   // how many older ones there are

	file   *os.File // nil: to be opened
	length int64
	// torn: what was written last has no end of line, and could not be taken back.
	torn bool
}

func (f *eventFile) path() string { return filepath.Join(f.dir(), eventsFile) }

// write appends events and returns how many are in the file for good. After an error the rest may be tried again.
func (f *eventFile) write(events []*admin.Event) (written int, err error) {
	if err := f.ready(); err != nil {
		return 0, err
	}
	var text bytes.Buffer
	var ends []int
	for _, e := range events {
		line, err := json.Marshal(e)
		if err != nil {
			return 0, fmt.Errorf("encode event %d: %w", e.ID, err) // a time beyond the year 9999
		}
		text.Write(line)
		text.WriteByte('\n')
		ends = append(ends, text.Len())
	}
	if f.length > 0 && f.length+int64(text.Len()) > f.size {
		if err := f.rotate(); err != nil {
			return 0, err
		}
	}
	if f.torn {
		if _, err := f.file.WriteString("\n"); err != nil {
			return 0, err
		}
		f.length, f.torn = f.length+1, false
	}
	n, err := f.file.Write(text.Bytes())
	if err == nil {
		f.length += int64(n)
		return len(events), f.file.Sync()
	}
	written, _ = slices.BinarySearch(ends, n+1) // those that end within n octets
	whole := int64(0)
	if written > 0 {
		whole = int64(ends[written-1])
	}
	f.length += whole
	if f.file.Truncate(f.length) != nil && int64(n) > whole {
		f.length, f.torn = f.length+int64(n)-whole, true
	}
	return written, err
}

// ready opens the file, unless it is open and still the one with that name.
func (f *eventFile) ready() error {
	path := f.path()
	if f.file != nil {
		here, err := os.Stat(path)
		opened, openedErr := f.file.Stat()
		if err == nil && openedErr == nil && os.SameFile(here, opened) {
			return nil
		}
		f.close()
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return err
	}
	file, err := os.OpenFile(path, os.O_RDWR|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
	if err != nil {
		return err
	}
	// Where a file system has no locks, nothing says that somebody else writes.
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); errors.Is(err, syscall.EWOULDBLOCK) {
		file.Close()
		return fmt.Errorf("another gtmd writes to %s: want a state directory for each", path)
	}
	if f.length, f.torn, err = mend(file); err != nil {
		file.Close()
		return err
	}
	f.file = file
	return nil
}

// maxEventLine is more than the longest line has.
const maxEventLine = 64 << 10

// mend takes the half of a line off the end of a file, which a process that was killed may leave. It returns the length of the
// file, and whether its last line has no end.
func mend(file *os.File) (length int64, isTorn bool, err error) {
	info, err := file.Stat()
	if err != nil {
		return 0, false, err
	}
	length = info.Size()
	tail := make([]byte, min(length, maxEventLine))
	if _, err := file.ReadAt(tail, length-int64(len(tail))); err != nil && !errors.Is(err, io.EOF) {
		return 0, false, err
	}
	half := tail[bytes.LastIndexByte(tail, '\n')+1:]
	switch {
	case len(half) == 0:
		return length, false, nil
	case json.Valid(half) || len(half) == len(tail) && int64(len(tail)) < length:
		return length, true, nil
	}
	length -= int64(len(half))
	return length, false, file.Truncate(length)
}

// rotate puts the file aside and begins another one.
func (f *eventFile) rotate() error {
	path := f.path()
	older := func(n int) string { return path + "." + strconv.Itoa(n) }
	for n := f.keep - 1; n > 0; n-- {
		if err := os.Rename(older(n), older(n+1)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	if err := os.Rename(path, older(1)); err != nil {
		return err
	}
	f.close()
	return f.ready()
}

func (f *eventFile) close() {
	if f.file != nil {
		f.file.Close()
	}
	f.file = nil
}

// endOfIDs is above every ID until the year 2255: a float64 has all numbers below it. A line with a larger one is damaged.
const endOfIDs = 1 << 53

// readEvents reads the latest events, at most so many, from the files of a directory; the oldest is first. Lines that are none,
// or whose IDs do not grow, are skipped and counted. With an error come those that could be read.
func readEvents(dir string, most int) (events []*admin.Event, skipped int, err error) {
	path := filepath.Join(dir, eventsFile)
	next := uint64(endOfIDs) // IDs are below that of the event that comes after
	for n := 0; n <= eventFilesKept && len(events) < most; n++ {
		name := path
		if n > 0 {
			name += "." + strconv.Itoa(n)
		}
		text, readErr := readTail(name, 2*eventFileSize)
		if readErr != nil {
			if !errors.Is(readErr, fs.ErrNotExist) {
				err = errors.Join(err, readErr)
			}
			continue
		}
		for len(text) > 0 && len(events) < most {
			text = bytes.TrimSuffix(text, []byte{'\n'})
			begin := bytes.LastIndexByte(text, '\n') + 1
			line := text[begin:]
			text = text[:begin]
			e := new(admin.Event)
			if json.Unmarshal(line, e) != nil || e.ID == 0 || e.Kind == "" || e.ID >= next {
				skipped++
				continue
			}
			next = e.ID
			events = append(events, e)
		}
	}
	slices.Reverse(events)
	return events, skipped, err
}

// readTail reads the end of a file, at most so many octets.
func readTail(name string, most int64) ([]byte, error) {
	file, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	info, err := file.Stat()
	if err != nil {
		return nil, err
	}
	from := max(0, info.Size()-most)
	text, err := io.ReadAll(io.NewSectionReader(file, from, info.Size()-from))
	if from > 0 {
		_, text, _ = bytes.Cut(text, []byte{'\n'})
	}
	return text, err
}
