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
	"gtmd/resolver"
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
	// Saved is when, by the clock on the wall; all other times of the body are written by the same clock, but for those of Switches and of
	// what is over in Drills.
	Saved time.Time `json:"saved"`
	// Boot tells how long ago that was, whatever the clock on the wall did since; the zero value: nothing does.
	Boot      boot                         `json:"boot,omitzero"`
	Targets   map[string]healthcheck.Saved `json:"targets"`
	Policies  []savedPolicy                `json:"policies"`
	Overrides []savedOverride              `json:"overrides,omitempty"`
	// LastOverride is the number of the latest ID of an override.
	LastOverride uint64 `json:"last_override,omitempty"`
	// Drills are those that run and those that are remembered, the oldest first.
	Drills   drills                          `json:"drills,omitempty"`
	Names    map[string]resolver.SavedAnswer `json:"names,omitempty"`
	RTTs     rtts                            `json:"rtts,omitempty"`
	Switches []admin.Switch                  `json:"switches"`
	Serials  serials                         `json:"serials,omitempty"`
	// Told is what people have been told of, and is not over.
	Told []trouble `json:"told,omitempty"`
	// Ended: nothing was served after this was saved.
	Ended bool `json:"ended,omitempty"`
}

type savedOverride struct {
	ID string `json:"id"`
	admin.OverrideTarget
	State   policy.OverrideKind `json:"state"`
	Reason  string              `json:"reason"`
	Author  string              `json:"author"`
	Since   time.Time           `json:"since"`
	Over    admin.Duration      `json:"over,omitempty"`
	Expires time.Time           `json:"expires,omitzero"`
	OnWall  bool                `json:"on_wall,omitempty"`
	Forced  bool                `json:"forced,omitempty"`
	Drill   string              `json:"drill,omitempty"`
}

type savedPolicy struct {
	Instance string `json:"instance"`
	Policy   string `json:"policy"`
	Family   string `json:"family"` // as policy.Family writes it
	policy.Memory
}

// heritage is what a world takes over from the saved state. Overrides that have ended meanwhile are not; the log says so.
func (b *stateBody) heritage(now time.Time, log *slog.Logger) heritage {
	var list []*override
	for _, s := range b.Overrides {
		o := &override{
			id: s.ID, target: s.OverrideTarget, kind: s.State, reason: s.Reason, author: s.Author, since: s.Since, over: time.Duration(s.Over),
			expires: s.Expires, onWall: s.OnWall, forced: s.Forced, drill: s.Drill,
		}
		if o.isOver(now) {
			log.Warn("override expired", o.fields(now)...)
			continue
		}
		list = append(list, o)
	}
	return heritage{b.memory(), b.RTTs, newOverrides(list, b.LastOverride), b.Drills, b.serials()}
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

// body is the state to save of a world. Its times are those of the running process.
func (w *world) body(targets map[string]healthcheck.Saved, switches []admin.Switch, now time.Time) stateBody {
	b := stateBody{Saved: now, Targets: targets, RTTs: w.rtts, Switches: switches, Serials: w.serials, LastOverride: w.overrides.count(), Drills: w.drills}
	for _, o := range w.overrides.all() {
		b.Overrides = append(b.Overrides, savedOverride{
			ID: o.id, OverrideTarget: o.target, State: o.kind, Reason: o.reason, Author: o.author, Since: o.since, Over: admin.Duration(o.over),
			Expires: o.expires, OnWall: o.onWall, Forced: o.forced, Drill: o.drill,
		})
	}
	for _, s := range w.slots {
		k := w.key(s)
		b.Policies = append(b.Policies, savedPolicy{k.instance, k.policy, k.family.String(), w.decision(s).Memory()})
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

// save writes the state as it is, and reports whether that worked. When it fails, serving goes on; the log says so once, and
// again when it works. It may be called from any goroutine.
func (n *Node) save() bool {
	n.saving.Lock()
	defer n.saving.Unlock()
	if n.left.Load() {
		return true // the file is that of the process that has taken over
	}
	err := writeState(n.world.Load().config.File.State.Dir, n.body(n.ended))
	n.metrics.saved(err)
	failed := n.saveFailed.Load()
	switch {
	case err != nil && failed == nil:
		n.log.Error("state is not saved: after a restart the verdicts would be missing; trying again", "error", err)
	case err == nil && failed != nil:
		n.log.Info("state is saved again")
	}
	if err == nil {
		n.saveFailed.Store(nil)
		return true
	}
	at := time.Now()
	if failed != nil {
		at = failed.at
	}
	n.saveFailed.Store(&refusal{err, at})
	n.touch()
	return false
}

// body is the state as it is, by the clock on the wall; ended, when nothing is published after it.
func (n *Node) body(ended bool) stateBody {
	now := time.Now()
	body := n.world.Load().body(n.engine.Status().Saved(), n.history.latest(), now)
	body.Names, body.Ended, body.Told = n.resolver.Saved(), ended, n.teller.saved()
	body.onWall(now)
	body.Boot = presentBoot()
	return body
}

// touch asks for the state to be saved.
func (n *Node) touch() {
	select {
	case n.unsaved <- struct{}{}:
	default:
	}
}
