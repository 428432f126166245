package node

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"time"

	"gtmd/config"
	"gtmd/geo"
)

// database is one of the databases of [geo] as a plan has it. Immutable. What serves is always good: a file that is not
// leaves the database that was there before.
type database struct {
	*geo.Database
	// path is the file as the configuration names it.
	path string
	// stamp is what the file was like when it was last looked at, be it refused or not.
	stamp stamp
	// refused says why the file is not what serves; nil: it is. Since when is at.
	refused error
	at      time.Time
	// unread is set when refused is about reading the file, and not about what is in it: it is tried again at times.
	unread bool
	// copied: what serves is the last good copy in the state directory.
	copied bool
}

// serving says, for people, what serves while the file is refused.
func (d *database) serving() string {
	text := fmt.Sprintf("%s built %s", d.Type, day(d.Built))
	if d.copied {
		text += " (the last good copy)"
	}
	return text
}

// day writes the date of a database.
func day(t time.Time) string { return t.UTC().Format(time.DateOnly) }

// stamp changes when a file does: its content, but also its permissions, which can make it readable. The zero value is that
// of a file that is not there.
type stamp struct {
	size, modified int64
	changed        syscall.Timespec // of the inode: a program can set modified, and not this
	device, inode  uint64
}

func stampOf(path string) stamp {
	info, err := os.Stat(path)
	if err != nil {
		return stamp{}
	}
	s := stamp{size: info.Size(), modified: info.ModTime().UnixNano()}
	if system, ok := info.Sys().(*syscall.Stat_t); ok {
		s.changed, s.device, s.inode = changeTime(system), uint64(system.Dev), system.Ino
	}
	return s
}

// atlas reads the databases of a configuration and compiles them to a Map. It remembers both: a file that has not changed
// is not read again, and what was compiled is not compiled again. It belongs to whoever holds the token of Node.loading.
type atlas struct {
	// copies says that the last good copies in the state directory stand in for files that cannot be used.
	copies bool
	files  map[string]reading
	// The Map of the last input, and what that was.
	built    *geo.Map
	input    string
	duration time.Duration
	// failures counts the files that were refused, by path. It is for everybody.
	failures counts[string]
	// failed is what the files were like that have been counted.
	failed map[string]stamp
	// How often files were read and maps compiled: for tests.
	reads, builds int
}

// reading is what was found in a file: a database, or why there is none.
type reading struct {
	stamp    stamp
	database *geo.Database
	err      error
}

func newAtlas() *atlas { return &atlas{files: map[string]reading{}, failed: map[string]stamp{}} }

// fail counts a file that is refused; however often it is refused as it is, it counts once.
func (a *atlas) fail(path string, file stamp) {
	if last, known := a.failed[path]; known && last == file {
		return
	}
	a.failed[path] = file
	a.failures.add(path)
}

// read returns what is in a file, from memory when that is as it was. Old is the database that serves, or nil: where the
// file has the same content, the reading has that one. A file that changes meanwhile has another stamp than the reading. One
// that could not be read is read again: a lack of descriptors or a fault of the disk can pass.
func (a *atlas) read(path string, old *geo.Database) reading {
	now := stampOf(path)
	if a.failed[path] != now {
		delete(a.failed, path) // a file that is removed again counts again
	}
	before, known := a.files[path]
	known = known && before.stamp == now
	if known && !isUnread(before.err) {
		return before
	}
	a.reads++
	r := reading{stamp: now}
	r.database, r.err = geo.ReadDatabase(path)
	switch {
	case r.err != nil:
		r.database = nil
		a.fail(path, now)
	case old != nil && old.Hash == r.database.Hash:
		r.database = old
	}
	a.files[path] = r
	return r
}

// isUnread reports whether an error is one of the system about a file that is there: nobody has seen what is in it.
func isUnread(err error) bool {
	_, ok := errors.AsType[syscall.Errno](err)
	return ok && !errors.Is(err, fs.ErrNotExist)
}

// settle forgets everything but what a plan that serves has, so that nothing keeps an older database in memory.
func (a *atlas) settle(p *plan) {
	for path, r := range a.files {
		if d := databaseOf(p.databases, path); d == nil || r.database != nil && r.database != d.Database {
			delete(a.files, path)
		}
	}
	for path := range a.failed {
		if databaseOf(p.databases, path) == nil {
			delete(a.failed, path)
		}
	}
	a.built, a.input, a.duration = p.geo, p.input, p.buildDuration
}

// load reads the databases of a plan: every one of them, or the problems. Before are those that serve; there may be none. A
// file that cannot serve leaves the database that does, at a start the last good copy, with the reason. Only what has neither
// is a problem, and sources that cannot be matched by what is left.
func (a *atlas) load(p *plan, before []*database) ([]*database, config.Problems) {
	now := time.Now()
	var next, olds []*database
	var problems config.Problems
	for i, path := range p.config.File.Geo.Databases {
		old := databaseOf(before, path)
		r := a.read(path, old.data())
		if old == nil && a.copies {
			old = lastGood(p.copyPath(path), path, r.database)
		}
		d, err := a.take(p, old, path, r, now)
		if err != nil {
			problems = append(problems, p.config.Problem(fmt.Sprintf("geo.databases[%d]", i), err.Error()))
		}
		if old == nil {
			old = d
		}
		next, olds = append(next, d), append(olds, old)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	a.keepNeeded(p, olds, next, now)
	left := p.unmatchable(next)
	if len(left) == 0 {
		return next, nil
	}
	// What was there before is of no use to these sources: a file that was refused beside it may be.
	for i, d := range next {
		if r := a.files[d.path]; d.refused != nil && r.err == nil {
			next[i] = &database{Database: r.database, path: d.path, stamp: r.stamp}
		}
	}
	if len(p.unmatchable(next)) > 0 {
		return nil, left
	}
	return next, nil
}

// take is the database of a path after its file has been read. When the file cannot serve, that is the old one with the
// reason; without an old one the reason is the error.
func (a *atlas) take(p *plan, old *database, path string, r reading, now time.Time) (*database, error) {
	err := r.err
	if err == nil && old != nil {
		err = shrinks(old.Database, r.database, p.copyPath(path))
	}
	switch {
	case err == nil:
		return &database{Database: r.database, path: path, stamp: r.stamp}, nil
	case old == nil:
		return nil, err
	}
	a.fail(path, r.stamp)
	return old.refuse(r.stamp, err, now), nil
}

// copyPath is where the last good copy of a file is kept.
func (p *plan) copyPath(path string) string {
	return filepath.Join(p.config.File.State.Dir, copiesDir, copyName(path))
}

// lastGood reads the last good copy of a file. Present is what the file has; it may be nil. Where the copy is the same, or is
// no database, or there is none, the result is nil.
func lastGood(name, path string, present *geo.Database) *database {
	content, err := os.ReadFile(name)
	if err != nil || present != nil && checksum(content) == present.Hash {
		return nil
	}
	good, err := geo.NewDatabase(path, content)
	if err != nil {
		return nil
	}
	return &database{Database: good, path: path, copied: true}
}

// refresh reads the files of a plan that serves at some paths, and returns its databases with those that have been replaced.
// A file that cannot serve leaves the database that does, with the reason.
func (a *atlas) refresh(p *plan, due map[string]bool, now time.Time) []*database {
	next := slices.Clone(p.databases)
	for i, old := range p.databases {
		if due[old.path] {
			next[i], _ = a.take(p, old, old.path, a.read(old.path, old.Database), now) // there is an old one
		}
	}
	a.keepNeeded(p, p.databases, next, now)
	return next
}

// keepNeeded puts databases that were there before back in next, where that has taken their place but knows less than the
// sources in use of a plan need.
func (a *atlas) keepNeeded(p *plan, before, next []*database, now time.Time) {
	known := knowledge(before)
	if len(p.lost(known, knowledge(next))) == 0 {
		return
	}
	// Not all of them together. Which of them can be alone?
	refuse := func(i int, have geo.Knowledge) {
		if err := p.loses(before[i], next[i], known, have); err != nil && next[i].Database != before[i].Database {
			a.fail(next[i].path, next[i].stamp)
			next[i] = before[i].refuse(next[i].stamp, err, now)
		}
	}
	for i, d := range next {
		alone := slices.Clone(before)
		alone[i] = d
		refuse(i, knowledge(alone))
	}
	// And of those all that are left?
	have := knowledge(next)
	for i := range next {
		refuse(i, have)
	}
}

// refuse is the database that serves on while its file, as it is now, cannot. One that has been refused for the same stays
// as it is, and with it since when.
func (d *database) refuse(now stamp, why error, at time.Time) *database {
	if d.refused != nil && d.stamp == now && d.refused.Error() == why.Error() {
		return d
	}
	return &database{Database: d.Database, path: d.path, stamp: now, refused: why, at: at, unread: isUnread(why), copied: d.copied}
}

// data is what serves; nil for a nil database.
func (d *database) data() *geo.Database {
	if d == nil {
		return nil
	}
	return d.Database
}

// databaseOf is the database of a path; nil when there is none.
func databaseOf(all []*database, path string) *database {
	if i := slices.IndexFunc(all, func(d *database) bool { return d.path == path }); i >= 0 {
		return all[i]
	}
	return nil
}

// knowledge is what databases know together.
func knowledge(all []*database) geo.Knowledge {
	var have geo.Knowledge
	for _, d := range all {
		have |= d.Knows
	}
	return have
}

// shrinks returns an error when a database has less than half of the address space of the one that it is to replace:
// somebody put the wrong file there, or only a part of it. Name is the last good copy of the file.
func shrinks(old, replacement *geo.Database, name string) error {
	for _, family := range []struct {
		name        string
		old, become float64
	}{
		{"IPv4", old.Covered4, replacement.Covered4},
		{"IPv6", old.Covered6, replacement.Covered6},
	} {
		if family.become < family.old/2 {
			return fmt.Errorf("geo database %q: it covers %s of %s, the last good one %s: "+
				"want a complete file (if this is meant, remove %s and restart gtmd)", replacement.Path,
				percent(family.become), family.name, percent(family.old), name)
		}
	}
	return nil
}

// loses returns an error when sources in use that can be matched with what the databases knew before cannot any more with
// what they know then.
func (p *plan) loses(old, replacement *database, before, have geo.Knowledge) error {
	lost := p.lost(before, have)
	if len(lost) == 0 {
		return nil
	}
	const most = 5
	if more := len(lost) - most; more > 0 {
		lost = append(lost[:most], fmt.Sprintf("%d more", more))
	}
	return fmt.Errorf("geo database %q: it is a %s now and was a %s, which is needed for %s",
		replacement.path, replacement.Type, old.Type, strings.Join(lost, ", "))
}

// lost lists the sources in use that can be matched with what databases knew before and cannot with what they know then.
func (p *plan) lost(before, have geo.Knowledge) []string {
	isps := p.config.File.Geo.ISPs
	var lost []string
	for _, u := range p.uses {
		if u.selector.Missing(before, isps) == "" && u.selector.Missing(have, isps) != "" && !slices.Contains(lost, u.text) {
			lost = append(lost, u.text)
		}
	}
	if p.places && before&located != 0 && have&located == 0 {
		lost = append(lost, `balance = "nearest"`)
	}
	return lost
}

// located is what says where a client is.
const located = geo.KnowsPlace | geo.KnowsSubdivision | geo.KnowsCountry

// percent writes a share of the address space for people.
func percent(share float64) string {
	switch {
	case share == 0:
		return "0 %"
	case share < 0.0001:
		return "less than 0.01 %"
	case share < 0.1:
		return fmt.Sprintf("%.2g %%", 100*share)
	default:
		return fmt.Sprintf("%.0f %%", 100*share)
	}
}
