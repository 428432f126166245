package config

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"hash"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"
)

// maxFileSize bounds what is read from one file, in octets.
const maxFileSize = 256 << 20

// maxTexts bounds what is kept of the texts of a configuration, in octets.
const maxTexts = 8 << 20

// source reads the files of one load and remembers what it has read.
type source struct {
	files  []string // in the order of reading, as the user named them
	texts  []string // of files; empty where there is no room for it
	room   int      // for more texts, in octets
	seen   map[string]bool
	sum    hash.Hash
	latest time.Time // last change of any file
}

func newSource() *source {
	return &source{seen: map[string]bool{}, sum: sha256.New(), room: maxTexts}
}

// read returns the contents of a file, which become a part of the configuration's hash. Only regular files are read:
// a device or a pipe could keep the load waiting, or never end.
func (s *source) read(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() {
		return nil, fmt.Errorf("read %s: not a regular file", name)
	}
	if info.Size() > maxFileSize {
		return nil, fmt.Errorf("read %s: larger than %d octets", name, maxFileSize)
	}
	content, err := os.ReadFile(name)
	if err != nil {
		return nil, err
	}
	if s.add(name, content) && info.ModTime().After(s.latest) {
		s.latest = info.ModTime()
	}
	return content, nil
}

// add makes contents a part of the configuration's hash, each file once. It returns whether the file is new.
func (s *source) add(name string, content []byte) bool {
	if s.seen[filepath.Clean(name)] {
		return false
	}
	s.seen[filepath.Clean(name)] = true
	s.sum.Write(binary.BigEndian.AppendUint64(nil, uint64(len(content))))
	s.sum.Write(content)
	s.files, s.texts = append(s.files, name), append(s.texts, "")
	if len(content) <= s.room {
		s.room -= len(content)
		s.texts[len(s.texts)-1] = string(content)
	}
	return true
}

// withLines gives problems the lines that they are on, as far as their texts are kept.
func (s *source) withLines(problems Problems) Problems {
	lines := map[string][]string{}
	for i := range problems {
		p := &problems[i]
		if lines[p.File] == nil {
			if at := slices.Index(s.files, p.File); at >= 0 {
				lines[p.File] = strings.Split(s.texts[at], "\n")
			}
		}
		if of := lines[p.File]; p.Line > 0 && p.Line <= len(of) {
			p.Text = strings.TrimRight(Mask(of[p.Line-1]), "\r")
		}
	}
	return problems
}

// digest is the hash over the contents of all files so far, in hexadecimal.
func (s *source) digest() string {
	return hex.EncodeToString(s.sum.Sum(nil))
}

// serial is the time of the last change of any file in seconds since 1970, as the serial number of a zone; 1 when no
// file has been read.
func (s *source) serial() uint32 {
	if s.latest.Unix() < 1 {
		return 1
	}
	return uint32(s.latest.Unix())
}

// beside returns the path of a file that the file base names: relative paths start at the directory of base.
func beside(base, name string) string {
	if name == "" || filepath.IsAbs(name) {
		return name
	}
	return filepath.Join(filepath.Dir(base), name)
}
