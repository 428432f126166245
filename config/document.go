package config

import (
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"
)

// document is one configuration file.
type document struct {
	name string         // the file as the user named it
	tree map[string]any // nil once it is decoded and merged; only positions are asked for later
	at   positions
}

// byteOrderMark begins a text in UTF-8 that some editors mark as such.
const byteOrderMark = "\ufeff"

// parseDocument parses the text of the file with this name. The error is a [Problem] with its position.
func parseDocument(name, text string) (*document, *Problem) {
	text = strings.TrimPrefix(text, byteOrderMark)
	if strings.HasPrefix(text, "\xff\xfe") || strings.HasPrefix(text, "\xfe\xff") {
		return nil, &Problem{File: name, Line: 1, Column: 1, Message: "the file is UTF-16: want UTF-8"}
	}
	at, deep := locate(text)
	if deep != (position{}) {
		return nil, &Problem{File: name, Line: deep.line, Column: deep.column,
			Message: fmt.Sprintf("lists and tables nest more than %d deep", maxNesting)}
	}
	tree, err := parseTOML(text)
	if err == nil {
		return &document{name: name, tree: tree, at: at}, nil
	}
	problem := &Problem{File: name, Line: 1, Message: err.Error()}
	if syntax, ok := errors.AsType[toml.ParseError](err); ok {
		// The parser's own line and column are of different lines where the error is at an end of line.
		offset := min(max(syntax.Position.Start, 0), len(text))
		problem.Line = strings.Count(text[:offset], "\n") + 1
		problem.Column = offset - strings.LastIndexByte(text[:offset], '\n')
		problem.Message = syntax.Message
	}
	return nil, problem
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
