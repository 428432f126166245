package querylog

import (
	"os"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// "-" is standard output under another number, and closing that leaves it open.
func TestStandardOutput(t *testing.T) {
	file, err := openLog(standardOutput)
	if err != nil {
		t.Fatal(err)
	}
	if file.Fd() == uintptr(syscall.Stdout) {
		t.Error("it is the descriptor itself")
	}
	same := func(f *os.File) os.FileInfo {
		info, err := f.Stat()
		if err != nil {
			t.Fatal(err)
		}
		return info
	}
	if !os.SameFile(same(file), same(os.Stdout)) {
		t.Error("it is another file")
	}
	closeLog(file)
	same(os.Stdout)
}

// After a line that was cut short, the next one begins on a line of its own; only whole lines count.
func TestTornLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "log")
	file, err := openLog(path)
	if err != nil {
		t.Fatal(err)
	}
	s := &fileSink{path: path, file: file}
	for _, text := range []string{"one\ntw", "three\n"} { // as if "two" had been the last of a full disk
		s.buffer.WriteString(text)
		s.entries++
		if written, err := s.flush(); written != 1 || err != nil {
			t.Errorf("%d written, %v", written, err)
		}
	}
	s.close()
	if text, err := os.ReadFile(path); string(text) != "one\ntw\nthree\n" {
		t.Errorf("%q, %v", text, err)
	}
}

// A file that could not be opened is tried again, once a second.
func TestRetry(t *testing.T) {
	path := filepath.Join(t.TempDir(), "dir", "log")
	s := &fileSink{path: path}
	now := time.Now()
	s.tend(now)
	s.entries = 1
	if written, err := s.flush(); written != 0 || err == nil {
		t.Errorf("%d written, %v", written, err)
	}
	if err := os.Mkdir(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if s.tend(now.Add(time.Second / 2)); s.file != nil {
		t.Error("tried too early")
	}
	if s.tend(now.Add(time.Second)); s.file == nil {
		t.Error("not tried")
	}
	s.close()
}
