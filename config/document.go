package config

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"weak"

	"github.com/BurntSushi/toml"
)

// document is one configuration file. Its positions may be asked for by several goroutines.
type document struct {
	name string // the file as the user named it
	text string
	// tree is what is in the text but for pieces; nil once it is decoded and merged: only positions are asked for later.
	tree map[string]any
	// pieces are the elements of long lists of tables, which are parsed when they are decoded; nil for a short text.
	pieces []piece

	mu   sync.Mutex // guards what follows
	at   weak.Pointer[positions]
	held *positions // keeps at; nil before positions are asked for, and once the document is settled
	// isSettled: the configuration is loaded, so that no more problems come one behind the other.
	isSettled bool
}

// byteOrderMark begins a text in UTF-8 that some editors mark as such.
const byteOrderMark = "\ufeff"

// parseDocument parses the text of the file with this name. The error is a [Problem] with its position. A long text is
// divided, and pieces of it that are no TOML are found when it is decoded.
func parseDocument(name, text string) (*document, *Problem) {
	return parseDivided(name, text, longText, pieceSize)
}

// parseDivided is parseDocument that divides texts of a length into pieces of a size.
func parseDivided(name, text string, length, size int) (*document, *Problem) {
	doc := &document{name: name, text: strings.TrimPrefix(text, byteOrderMark)}
	if strings.HasPrefix(doc.text, "\xff\xfe") || strings.HasPrefix(doc.text, "\xfe\xff") {
		return nil, &Problem{File: name, Line: 1, Column: 1, Message: "the file is UTF-16: want UTF-8"}
	}
	if strings.HasPrefix(doc.text, byteOrderMark) { // The parser would take off this one.
		return nil, &Problem{File: name, Line: 1, Column: 1, Message: "the file begins with two byte order marks: want one or none"}
	}
	o := outlined(doc.text, size)
	if o.deep >= 0 {
		return nil, doc.problem(o.deep, fmt.Sprintf("lists and tables nest more than %d deep", maxNesting))
	}
	if o.twice >= 0 {
		return nil, doc.problem(o.twice, "a dotted key has made this key a table before: want it once")
	}
	if len(doc.text) >= length && o.isDivided {
		if tree, err := parseTOML(o.rest); err == nil {
			doc.tree, doc.pieces = tree, o.pieces
			return doc, nil
		}
	}
	return doc, doc.parse()
}

// longText is the number of octets from which a text is divided.
const longText = 1 << 18

// parse parses the text as a whole.
func (doc *document) parse() *Problem {
	doc.pieces = nil
	var err error
	if doc.tree, err = parseTOML(doc.text); err == nil {
		return nil
	}
	if syntax, ok := errors.AsType[toml.ParseError](err); ok {
		// The parser's own line and column are of different lines where the error is at an end of line.
		return doc.problem(min(max(syntax.Position.Start, 0), len(doc.text)), syntax.Message)
	}
	return &Problem{File: doc.name, Line: 1, Message: err.Error()}
}

// problem is a problem at an offset of the text.
func (doc *document) problem(offset int, message string) *Problem {
	return &Problem{File: doc.name, Line: strings.Count(doc.text[:offset], "\n") + 1,
		Column: offset - strings.LastIndexByte(doc.text[:offset], '\n'), Message: message}
}

// positions are those of the keys of the text. They are found when they are asked for, since most texts have nothing to
// report. They are kept until the document is settled, and then forgotten when nobody asks for some time.
func (doc *document) positions() positions {
	doc.mu.Lock()
	defer doc.mu.Unlock()
	if at := doc.at.Value(); at != nil {
		return *at
	}
	at := locate(doc.text)
	doc.at = weak.Make(&at)
	if !doc.isSettled {
		doc.held = &at
	}
	return at
}

// settle lets positions go.
func (doc *document) settle() {
	doc.mu.Lock()
	defer doc.mu.Unlock()
	doc.held, doc.isSettled = nil, true
}

// parseTOML parses a text.
func parseTOML(text string) (map[string]any, error) {
	tree := map[string]any{}
	err := survive(func() error {
		_, err := toml.Decode(text, &tree)
		return err
	})
	return tree, err
}

// survive runs the parser. It reports states that it believes impossible by a panic, and a process that reloads a bad file
// must live through that: it becomes an error.
func survive(parse func() error) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("the TOML parser cannot read this text: %v", r)
		}
	}()
	return parse()
}
