package node

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
)

// stateFile is the name of the saved state in the state directory.
const stateFile = "state.json"

// stateVersion is that of the format below; another one is set aside like a corrupt file.
const stateVersion = 1

// state is what outlives a restart: the verdicts with their streaks and since-times, the sets in force, the round-trip times
// that hold, and the last switches. It is JSON that people can read, with a checksum over the body.
type state struct {
	Version  int             `json:"version"`
	Checksum string          `json:"checksum"`
	Body     json.RawMessage `json:"body"`
}

type stateBody struct {
	Saved    time.Time                    `json:"saved"`
	Targets  map[string]healthcheck.Saved `json:"targets"`
	Policies []savedPolicy                `json:"policies"`
	RTTs     rtts                         `json:"rtts,omitempty"`
	Switches []admin.Switch               `json:"switches"`
}

type savedPolicy struct {
	Instance string `json:"instance"`
	Policy   string `json:"policy"`
	Family   string `json:"family"` // as policy.Family writes it
	policy.Memory
}

// memory is the saved memory of policies by name.
func (b *stateBody) memory() map[policyKey]policy.Memory {
	families := map[string]policy.Family{}
	for _, f := range []policy.Family{policy.IPv4, policy.IPv6, policy.FamilyBoth} {
		families[f.String()] = f
	}
	memory := make(map[policyKey]policy.Memory, len(b.Policies))
	for _, p := range b.Policies {
		if f, known := families[p.Family]; known {
			memory[policyKey{p.Instance, p.Policy, f}] = p.Memory
		}
	}
	return memory
}

// body is the state to save of a world.
func (w *world) body(targets map[string]healthcheck.Saved, switches []admin.Switch, now time.Time) stateBody {
	b := stateBody{Saved: now.Round(0), Targets: targets, RTTs: w.rtts, Switches: switches}
	for _, s := range w.slots {
		k := w.key(s)
		b.Policies = append(b.Policies, savedPolicy{k.instance, k.policy, k.family.String(), w.memory[k]})
	}
	return b
}

// readState reads the saved state of a directory. A missing file is an empty state. A file that cannot be used is set
// aside under another name, so that it can be looked at, and the log says so: it never keeps the server from starting.
func readState(dir string, log *slog.Logger) stateBody {
	path := filepath.Join(dir, stateFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return stateBody{}
	}
	var body stateBody
	if err == nil {
		body, err = decodeState(text)
	}
	if err == nil {
		return body
	}
	aside := fmt.Sprintf("%s.corrupt-%d", path, time.Now().Unix())
	if renameErr := os.Rename(path, aside); renameErr != nil {
		aside = path
	}
	log.Error("saved state cannot be used: starting without it, every address is probed afresh", "file", aside, "error", err)
	return stateBody{}
}

func decodeState(text []byte) (stateBody, error) {
	var s state
	var body stateBody
	if err := json.Unmarshal(text, &s); err != nil {
		return body, fmt.Errorf("read the saved state: %w", err)
	}
	if s.Version != stateVersion {
		return body, fmt.Errorf("read the saved state: it has version %d, this program reads %d", s.Version, stateVersion)
	}
	if s.Checksum != checksum(s.Body) {
		return body, errors.New("read the saved state: the checksum does not fit: it was cut or changed")
	}
	if err := json.Unmarshal(s.Body, &body); err != nil {
		return body, fmt.Errorf("read the saved state: %w", err)
	}
	return body, nil
}

func encodeState(body stateBody) ([]byte, error) {
	encoded, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return json.Marshal(state{Version: stateVersion, Checksum: checksum(encoded), Body: encoded})
}

func checksum(body []byte) string {
	sum := sha256.Sum256(body)
	return hex.EncodeToString(sum[:])
}

// writeState replaces the saved state of a directory, which is made when it is missing: either the old or the new state
// is there at any moment.
func writeState(dir string, body stateBody) error {
	text, err := encodeState(body)
	if err != nil {
		return fmt.Errorf("encode the state: %w", err)
	}
	path := filepath.Join(dir, stateFile)
	dir = filepath.Dir(path) // "." for an empty one
	if err := os.MkdirAll(dir, 0o750); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	if err := replaceFile(path, append(text, '\n')); err != nil {
		return fmt.Errorf("write the state: %w", err)
	}
	return nil
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
	return syncDir(filepath.Dir(path))
}

// syncDir makes a rename in a directory last.
func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// saveInterval is the least time between two writes.
const saveInterval = time.Second

// runSaver writes the state when something has changed, at most once in saveInterval, until ctx ends.
func (n *Node) runSaver(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-n.unsaved:
		}
		n.save()
		select {
		case <-ctx.Done():
			return
		case <-time.After(saveInterval):
		}
	}
}

// save writes the state as it is. When that fails, serving goes on; the log says so once, and again when it works.
func (n *Node) save() {
	w := n.world.Load()
	err := writeState(w.config.File.State.Dir, w.body(n.engine.Status().Saved(), n.history.latest(), time.Now()))
	n.metrics.saved(err)
	switch {
	case err != nil && !n.saveFailed:
		n.log.Error("state is not saved: after a restart the verdicts would be missing; trying again", "error", err)
	case err == nil && n.saveFailed:
		n.log.Info("state is saved again")
	}
	n.saveFailed = err != nil
	if err != nil {
		n.touch()
	}
}

// touch asks for the state to be saved.
func (n *Node) touch() {
	select {
	case n.unsaved <- struct{}{}:
	default:
	}
}
