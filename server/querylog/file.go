package querylog

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"sync/atomic"
	"syscall"
	"time"
)

// fileSink writes lines of JSON to a file.
type fileSink struct {
	path      string
	anonymize bool
	file      *os.File // nil: to be opened
	fresh     atomic.Pointer[os.File]
	retry     time.Time // no earlier is the file tried to be opened again
	buffer    bytes.Buffer
	entries   int
	// torn: what was written last has no end of line.
	torn bool
}

// fileSetting is what of a setting concerns the file.
func fileSetting(s Setting) Setting { return Setting{File: s.File, Payload: s.Payload} }

// newFileTap returns a tap that writes to file; nil is a file that cannot be opened for now.
func (l *Log) newFileTap(s Setting, file *os.File) *Tap {
	o := s.File
	return newTap(Tap{
		name: "query log", setting: fileSetting(s), log: l.log.With("file", o.File), count: &l.counters.File, only: o.Only,
		sink: &fileSink{path: o.File, anonymize: o.Anonymize, file: file},
	}, o.Sample, o.Buffer, s.Payload)
}

// standardOutput is the path that stands for it.
const standardOutput = "-"

// openLog opens a file to append to. It returns neither a file nor an error when the reason may go by, such as a full disk.
func openLog(path string) (*os.File, error) {
	file, err := openFile(path)
	for _, lasting := range []error{fs.ErrNotExist, fs.ErrPermission, syscall.EISDIR, syscall.ENOTDIR, syscall.ENXIO, syscall.EINVAL} {
		if errors.Is(err, lasting) {
			return nil, fmt.Errorf("open the query log: %w (dns.query_log.file: want a file in a directory that is there, and that gtmd may write to)", err)
		}
	}
	return file, nil
}

// openFile opens a file to append to. A pipe that nobody reads is an error; it must not make anyone wait. Of standard output
// it is another descriptor: who writes to the first one when its reader is gone is killed.
func openFile(path string) (*os.File, error) {
	if path == standardOutput {
		syscall.ForkLock.RLock()
		defer syscall.ForkLock.RUnlock()
		fd, err := syscall.Dup(syscall.Stdout)
		if err != nil {
			return nil, os.NewSyscallError("dup", err)
		}
		syscall.CloseOnExec(fd)
		return os.NewFile(uintptr(fd), "standard output"), nil
	}
	return os.OpenFile(path, os.O_WRONLY|os.O_APPEND|os.O_CREATE|syscall.O_NONBLOCK, 0o640)
}

// closeLog closes what openLog opened.
func closeLog(file *os.File) {
	if file != nil {
		file.Close()
	}
}

// reopen makes the sink go on with another file. It may be called from any goroutine.
func (s *fileSink) reopen(file *os.File) { closeLog(s.fresh.Swap(file)) }

// tend takes up another file, and opens one that could not be opened.
func (s *fileSink) tend(now time.Time) {
	if fresh := s.fresh.Swap(nil); fresh != nil {
		closeLog(s.file)
		s.file, s.torn = fresh, false
	}
	if s.file == nil && !now.Before(s.retry) {
		s.retry = now.Add(time.Second)
		s.file, _ = openFile(s.path)
	}
}

func (s *fileSink) add(slot *slot) {
	s.buffer.Write(jsonLine(slot, s.anonymize))
	s.entries++
}

func (s *fileSink) pending() (octets, entries int) { return s.buffer.Len(), s.entries }

func (s *fileSink) flush() (written int, err error) {
	defer func() {
		s.buffer.Reset()
		s.entries = 0
	}()
	if s.file == nil {
		return 0, fmt.Errorf("open %s: not possible for now", s.path)
	}
	s.file.SetWriteDeadline(time.Now().Add(stepTime)) // a pipe has it, a file does not
	if s.torn {
		if _, err := s.file.WriteString("\n"); err != nil {
			return 0, err
		}
		s.torn = false
	}
	n, err := s.file.Write(s.buffer.Bytes())
	whole := s.buffer.Bytes()[:n]
	s.torn = n > 0 && whole[n-1] != '\n'
	return bytes.Count(whole, []byte{'\n'}), err
}

func (s *fileSink) close() {
	closeLog(s.file)
	closeLog(s.fresh.Swap(nil))
}
