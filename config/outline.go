package config

import "strings"

// An outline is a TOML text divided at the headers of its arrays of tables, such as [[pool]]. What the pieces and the rest
// hold, each parsed for itself, is what the whole text holds: a text of many tables need not be in memory as one tree, and
// pieces are parsed at the same time. Only a text with an error may differ: it may have none when it is divided in another
// way than the parser reads it, which is why the pieces are made by the locator, that is held against the parser.
type outline struct {
	pieces []piece
	rest   string
	// isDivided is false where the text is no TOML, or a table is named in one place and its array in another.
	isDivided bool
	// deep is the offset where values nest deeper than maxNesting; -1: nowhere.
	deep int
	// twice is the offset of a key that has a value after a dotted key has made it a table; -1: there is none.
	twice int
}

// piece is some elements of arrays of tables, one behind the other.
type piece struct {
	text string
	// first is the number of the first element of each array, count how many of it are there.
	first, count map[string]int
}

// startsLine tells whether what follows a text is the first on its line.
func startsLine(text string) bool {
	text = strings.TrimRight(text, " \t")
	return text == "" || text[len(text)-1] == '\n'
}

// pieceSize is the number of octets from which a piece ends at the next element.
const pieceSize = 1 << 16

// outlined divides a text into pieces of at least so many octets.
func outlined(text string, size int) outline {
	o := outline{deep: -1, twice: -1}
	l := &locator{text: text}
	var rest strings.Builder
	counts := map[string]int{}
	others := map[string]bool{} // names at the top of the file that are not in pieces
	var p *piece
	start, isPiece, current := 0, false, "" // of what is being read: whether it is a piece, and the array that its end is an element of
	o.isDivided = true
	end := func(at int) {
		o.isDivided = o.isDivided && startsLine(text[:at])
		if isPiece {
			p.text = text[start:at]
		} else {
			rest.WriteString(text[start:at])
		}
		start = at
	}
	for isTop := true; ; {
		l.blank()
		at, isHeader := l.offset, l.offset < len(text) && text[l.offset] == '['
		if !l.statement() {
			break
		}
		switch {
		case isHeader && l.header.isArray:
			if !isPiece || at-start >= size {
				end(at)
				o.pieces = append(o.pieces, piece{first: map[string]int{}, count: map[string]int{}})
				p = &o.pieces[len(o.pieces)-1]
			}
			isPiece, current = true, l.header.top
			if p.count[current] == 0 {
				p.first[current] = counts[current]
			}
			p.count[current]++
			counts[current]++
		case isHeader && !(isPiece && l.header.top == current):
			if isPiece {
				end(at)
				isPiece = false
			}
			others[l.header.top] = true
		case !isHeader && isTop:
			others[l.top] = true
		}
		isTop = isTop && !isHeader
	}
	switch {
	case l.isDeep:
		o.deep = l.offset
		return o
	case l.isTwice:
		o.twice = l.offset
		return o
	}
	o.isDivided = o.isDivided && l.offset == len(text)
	if isPiece {
		p.text = text[start:]
	} else {
		rest.WriteString(text[start:])
	}
	o.rest = rest.String()
	for name := range counts {
		o.isDivided = o.isDivided && !others[name]
	}
	return o
}
