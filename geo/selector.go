package geo

import (
	"fmt"
	"slices"
	"strings"
)

// A Selector is a request source of an access policy: a set of clients. It is comparable, immutable, and usable
// as a map key. The zero Selector is [Global]; [ParseSelector] makes the others.
type Selector struct {
	kind kind
	name string // of the custom line; empty for Global
}

// Global is the request source that every client belongs to, and the last in match order.
var Global = Selector{kind: kindGlobal}

// kind says what a Selector selects by.
type kind uint8

const (
	kindGlobal kind = iota
	kindLine
)

const (
	globalName = "global"
	// defaultName is Alibaba's code of the line that matches everybody.
	defaultName = "default"
)

// reserved reports whether a custom line cannot have this name because it is one of Global's.
func reserved(name string) bool { return name == globalName || name == defaultName }

// ParseSelector returns the request source that the configuration calls text: "global", or Alibaba's "default"
// for the same, or the name of one of the custom lines, spelled exactly so. The error quotes text and lists
// what would have been right.
func ParseSelector(text string, lines []LineOptions) (Selector, error) {
	if reserved(text) {
		return Global, nil
	}
	if slices.ContainsFunc(lines, func(l LineOptions) bool { return l.Name == text }) {
		return Selector{kind: kindLine, name: text}, nil
	}
	return Selector{}, fmt.Errorf("request source %q: want %s", text, choices(lines))
}

// String returns the text by which a configuration names the source; ParseSelector takes it back.
func (s Selector) String() string {
	if s.kind == kindGlobal {
		return globalName
	}
	return s.name
}

// choices lists, for an error message, what a request source can be. It names at most eight lines.
func choices(lines []LineOptions) string {
	const most = 8
	if len(lines) == 0 {
		return `"global" (there are no custom lines)`
	}
	var b strings.Builder
	b.WriteString(`"global" or a custom line: `)
	for i, line := range lines {
		if i == most {
			fmt.Fprintf(&b, " and %d more", len(lines)-most)
			break
		}
		if i > 0 {
			b.WriteString(", ")
		}
		fmt.Fprintf(&b, "%q", line.Name)
	}
	return b.String()
}
