package alert

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

const (
	stateFile = "state.json"
	lockFile  = "lock"
	// stateVersion is that of the format; another one is set aside like a corrupt file.
	stateVersion = 1
)

// errLocked: another process has the directory.
var errLocked = errors.New("another process has it")

// store is the directory on disk of a service. One process has it at a time.
type store struct {
	dir  string
	lock *os.File // Nil: it is not had, or cannot be locked.
}

// open makes the directory and locks it. The error is errLocked while another process has it.
func (s *store) open() error {
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	f, err := os.OpenFile(filepath.Join(s.dir, lockFile), os.O_RDWR|os.O_CREATE, 0o640)
	if err != nil {
		return err
	}
	if err := lock(f); err != nil {
		f.Close()
		return err
	}
	s.lock = f
	return nil
}

// close lets another process have it.
func (s *store) close() {
	if s.lock != nil {
		s.lock.Close()
		s.lock = nil
	}
}

// envelope is the saved state with what tells whether it is whole.
type envelope struct {
	Version  int             `json:"version"`
	Checksum string          `json:"checksum"`
	Body     json.RawMessage `json:"body"`
}

// read returns the saved state; there may be none. A file that cannot be used is set aside, under the name returned.
func (s *store) read() (body savedState, aside string, err error) {
	path := filepath.Join(s.dir, stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return body, "", nil
	}
	if err == nil {
		body, err = decodeState(text)
	}
	if err != nil {
		return savedState{}, setAside(path), err
	}
	return body, "", nil
}

func decodeState(text []byte) (body savedState, err error) {
	var e envelope
	if err := json.Unmarshal(text, &e); err != nil {
		return body, fmt.Errorf("read the saved alerts: %w", err)
	}
	if e.Version != stateVersion {
		return body, fmt.Errorf("read the saved alerts: they have version %d, this program reads %d", e.Version, stateVersion)
	}
	if e.Checksum != checksum(e.Body) {
		return body, errors.New("read the saved alerts: the checksum does not fit: they were cut or changed")
	}
	if err := json.Unmarshal(e.Body, &body); err != nil {
		return body, fmt.Errorf("read the saved alerts: %w", err)
	}
	return body, body.check()
}

// write replaces the saved state.
func (s *store) write(body savedState) error {
	encoded, err := json.Marshal(body)
	if err != nil {
		return err
	}
	text, err := json.Marshal(envelope{stateVersion, checksum(encoded), encoded})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(s.dir, 0o750); err != nil {
		return err
	}
	return replaceFile(filepath.Join(s.dir, stateFile), append(text, '\n'))
}

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// setAside renames a file that cannot be used, so that it can be looked at. It returns where the file is then.
func setAside(path string) string {
	aside := fmt.Sprintf("%s.corrupt-%d", path, time.Now().Unix())
	if os.Rename(path, aside) != nil {
		return path
	}
	return aside
}

// replaceFile gives a file a new content: either the old or the new one is there at any moment, and the new one lasts.
func replaceFile(path string, content []byte) error {
	temporary := path + ".new"
	f, err := os.OpenFile(temporary, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o640)
	if err != nil {
		return err
	}
	_, err = f.Write(content)
	err = errors.Join(err, f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(temporary, path)
	}
	if err != nil {
		return errors.Join(err, os.Remove(temporary)) // a full disk has it no longer
	}
	d, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
