package mmdb

import (
	"fmt"
	"strings"
)

// A Problem is a line of an input that cannot be read.
type Problem struct {
	File    string
	Line    int // from 1
	Message string
}

func (p Problem) String() string { return fmt.Sprintf("%s:%d: %s", p.File, p.Line, p.Message) }

// Problems is the error of [Build] when lines cannot be read.
type Problems struct {
	// First are the first problems, at most ten of Total.
	First []Problem
	Total int
}

// Error lists the problems, one on a line.
func (p *Problems) Error() string {
	lines := make([]string, len(p.First))
	for i, problem := range p.First {
		lines[i] = problem.String()
	}
	if more := p.Total - len(p.First); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return strings.Join(lines, "\n")
}

// badLines counts the lines that cannot be read and keeps the first ones.
type badLines struct {
	first []Problem
	total int
}

const keptProblems = 10

func (b *badLines) add(p Problem) {
	if len(b.first) < keptProblems {
		b.first = append(b.first, p)
	}
	b.total++
}

func (b *badLines) problems() *Problems { return &Problems{First: b.first, Total: b.total} }
