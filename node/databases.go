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
		s.changed, s.device, s.inode = system.Ctim, uint64(system.Dev), system.Ino
	}
	return s
}

// atlas reads the databases of a configuration and compiles them to a Map. It remembers both: a file that has not changed
// is not read again, and what was compiled is not compiled again. It belongs to whoever holds the token of Node.loading.
type atlas struct {
	// copies is the state directory whose last good copies stand in for files that cannot be used; empty: none do.
	copies string
	files  map[string]reading
	// The Map of the last input, and what that was.
	built    *geo.Map
	input    string
	duration time.Duration
	// failures counts the files that were refused, by path. It is for everybody.
	failures counts[string]
	// How often files were read and maps compiled: for tests.
	reads, builds int
}

// reading is what was found in a file: a database, or why there is none.
type reading struct {
	stamp    stamp
	database *geo.Database
	err      error
}

func newAtlas() *atlas { return &atlas{files: map[string]reading{}} }

// read returns what is in a file, from memory when that is as it was. Old is the database that serves, or nil: where the
// file has the same content, the reading has that one. A file that changes meanwhile has another stamp than the reading. One
// that could not be read is read again: a lack of descriptors or a fault of the disk can pass.
func (a *atlas) read(path string, old *geo.Database) reading {
	now := stampOf(path)
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
		if !known {
			a.failures.add(path)
		}
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
	a.built, a.input, a.duration = p.geo, p.input, p.buildDuration
}

// load reads the databases of a plan: every one of them, or the problems. Before are those that serve; there may be none.
// Where there are copies of databases that were good, they stand in for what is not.
func (a *atlas) load(p *plan, before []*database) ([]*database, config.Problems) {
	var all []*database
	var problems config.Problems
	for i, path := range p.config.File.Geo.Databases {
		old := databaseOf(before, path)
		r := a.read(path, old.data())
		d := &database{Database: r.database, path: path, stamp: r.stamp}
		err := r.err
		if err == nil && old != nil {
			if err = shrinks(old.Database, r.database); err != nil && r.stamp != old.stamp {
				a.failures.add(path) // or it has been counted
			}
		}
		if err != nil && !a.standIn(d, err) {
			problems = append(problems, p.config.Problem(fmt.Sprintf("geo.databases[%d]", i), err.Error()))
		}
		all = append(all, d)
	}
	if len(problems) > 0 {
		return nil, problems
	}
	if problems = p.unmatchable(all); len(problems) == 0 || a.copies == "" {
		return all, problems
	}
	for _, d := range all {
		if d.refused == nil {
			a.standInForAnotherKind(d)
		}
	}
	return all, p.unmatchable(all)
}

// standIn replaces a database by the last good copy of its file; it reports whether there is one.
func (a *atlas) standIn(d *database, why error) bool {
	good, err := a.lastGood(d.path)
	if err != nil {
		return false
	}
	d.Database, d.refused, d.at, d.unread, d.copied = good, why, time.Now(), isUnread(why), true
	return true
}

// standInForAnotherKind replaces a database by the last good copy of its file when that knows what this one does not.
func (a *atlas) standInForAnotherKind(d *database) {
	good, err := a.lastGood(d.path)
	if err != nil || d.Knows.Has(good.Knows) {
		return
	}
	a.failures.add(d.path)
	a.standIn(d, fmt.Errorf("geo database %q: it is a %s now and was a %s, which sources in use need", d.path, d.Type, good.Type))
}

// lastGood reads the last good copy of a file.
func (a *atlas) lastGood(path string) (*geo.Database, error) {
	if a.copies == "" {
		return nil, errors.New("no copies are kept")
	}
	content, err := os.ReadFile(filepath.Join(a.copies, copyName(path)))
	if err != nil {
		return nil, err
	}
	return geo.NewDatabase(path, content)
}

// refresh reads the files of a plan that serves at some paths, and returns its databases with those that have been replaced.
// A file that cannot serve leaves the database that does, with the reason.
func (a *atlas) refresh(p *plan, due map[string]bool, now time.Time) []*database {
	next := slices.Clone(p.databases)
	for i, old := range p.databases {
		if !due[old.path] {
			continue
		}
		r := a.read(old.path, old.Database)
		err := r.err
		d := &database{Database: r.database, path: old.path, stamp: r.stamp}
		if err == nil && d.Database != old.Database {
			if err = shrinks(old.Database, d.Database); err != nil {
				a.failures.add(old.path)
			}
		}
		switch {
		case err != nil && old.unread && r.stamp == old.stamp && old.refused.Error() == err.Error():
			continue // as before
		case err != nil:
			d = old.refuse(d.stamp, err, now)
		}
		next[i] = d
	}
	if len(p.lost(knowledge(next))) == 0 {
		return next
	}
	// Not all of them together. Which of them can be alone?
	refuse := func(i int, have geo.Knowledge) {
		old, d := p.databases[i], next[i]
		if err := p.loses(old, d, have); err != nil && d.Database != old.Database {
			a.failures.add(d.path)
			next[i] = old.refuse(d.stamp, err, now)
		}
	}
	for i, d := range next {
		alone := slices.Clone(p.databases)
		alone[i] = d
		refuse(i, knowledge(alone))
	}
	// And of those all that are left?
	have := knowledge(next)
	for i := range next {
		refuse(i, have)
	}
	return next
}

// refuse is the database that serves on while its file, as it is now, cannot.
func (d *database) refuse(now stamp, why error, at time.Time) *database {
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
// somebody put the wrong file there, or only a part of it.
func shrinks(old, replacement *geo.Database) error {
	for _, family := range []struct {
		name        string
		old, become float64
	}{
		{"IPv4", old.Covered4, replacement.Covered4},
		{"IPv6", old.Covered6, replacement.Covered6},
	} {
		if family.become < family.old/2 {
			return fmt.Errorf("geo database %q: it covers %s of %s, the loaded one %s: "+
				"want a complete file (if this is meant, restart gtmd)", replacement.Path,
				percent(family.become), family.name, percent(family.old))
		}
	}
	return nil
}

// loses returns an error when sources in use that can be matched now cannot any more with what the databases know then.
func (p *plan) loses(old, replacement *database, have geo.Knowledge) error {
	lost := p.lost(have)
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

// lost lists the sources in use that can be matched now and cannot with what databases know then.
func (p *plan) lost(have geo.Knowledge) []string {
	before := knowledge(p.databases)
	var lost []string
	for _, u := range p.uses {
		if u.selector.Missing(before) == "" && u.selector.Missing(have) != "" && !slices.Contains(lost, u.text) {
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
