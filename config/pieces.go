package config

import (
	"reflect"
	"runtime"
	"sync"
	"sync/atomic"
)

// areLists tells whether each array in the pieces of a document is a list of tables of the struct.
func areLists(pieces []piece, t reflect.Type) bool {
	known := map[string]bool{}
	for _, f := range optionFields(t) {
		known[f.key] = isTables(t.Field(f.index).Type)
	}
	for _, p := range pieces {
		for name := range p.count {
			if !known[name] {
				return false
			}
		}
	}
	return true
}

// pieces fills the lists of a struct that the pieces of the document hold the elements of, as long as no problem is kept quiet.
// It returns false when a piece is no TOML, of which nothing is told here.
func (d *decoder) pieces(into reflect.Value) bool {
	if len(d.doc.pieces) == 0 {
		return true
	}
	lists := map[string]*pieceList{}
	for i, f := range d.fieldsOf(into.Type()) {
		lists[f.key] = &pieceList{field: &d.fieldsOf(into.Type())[i], into: into.Field(f.index)}
	}
	for _, p := range d.doc.pieces {
		for name, count := range p.count {
			lists[name].count += count
		}
	}
	for _, l := range lists {
		if l.count > 0 {
			l.into.Set(reflect.MakeSlice(l.into.Type(), l.count, l.count))
		}
	}
	if !d.isQuiet {
		for i := range d.doc.pieces {
			if !d.piece(&d.doc.pieces[i], lists) {
				return false
			}
		}
		return true
	}
	var next atomic.Int64
	var isUnread, isBad atomic.Bool
	var working sync.WaitGroup
	for range runtime.GOMAXPROCS(0) {
		working.Go(func() {
			w := newDecoder(d.doc, true)
			for !w.isBad && !isUnread.Load() {
				i := int(next.Add(1)) - 1
				if i >= len(d.doc.pieces) {
					return
				}
				if !w.piece(&d.doc.pieces[i], lists) {
					isUnread.Store(true)
				}
			}
			if w.isBad {
				isBad.Store(true)
			}
		})
	}
	working.Wait()
	d.isBad = isBad.Load()
	return !isUnread.Load()
}

// pieceList is a list whose elements are in pieces.
type pieceList struct {
	field *field
	into  reflect.Value
	count int
}

// piece fills the elements of one piece. It returns false when that is no TOML, or other than its outline says.
func (d *decoder) piece(p *piece, lists map[string]*pieceList) bool {
	tree, err := parseTOML(p.text)
	if err != nil || len(tree) != len(p.count) {
		return false
	}
	for name, count := range p.count {
		items, isTables := tree[name].([]map[string]any)
		if !isTables || len(items) != count {
			return false
		}
		l := lists[name]
		for i, item := range items {
			number := p.first[name] + i
			d.element(l.into.Index(number), l.field, item, d.item(name, number), place{}, number)
		}
	}
	return true
}
