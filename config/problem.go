package config

import (
	"cmp"
	"slices"
	"strconv"
	"strings"
)

// Problem is one thing that is wrong, or worth a warning, in the configuration. It is a value.
type Problem struct {
	// File is the file as the user named it: a relative path stays relative.
	File string `json:"file"`
	// Line and Column count from 1, columns in octets. Line is 0 where the file as a whole is meant, Column where the line is.
	Line   int `json:"line"`
	Column int `json:"column"`
	// Key is the path of the key in File, such as "pool[1].addresses[2].weight", or the column of a latency file. It is
	// empty for errors of syntax.
	Key string `json:"key"`
	// Message says what is wrong and what would be right.
	Message string `json:"message"`
	// Text is the line, without secrets; empty where it is not known.
	Text string `json:"-"`
}

// String is the problem on one line: "gtmd.toml:14:1: message", without the numbers that are 0.
func (p Problem) String() string {
	if place := (position{p.Line, p.Column}).in(p.File); place != "" {
		return place + ": " + p.Message
	}
	return p.Message
}

// Problems is the error of [Load] and [LoadText]: every problem at once, sorted by file, line and column.
type Problems []Problem

// Error is one line for each problem.
func (ps Problems) Error() string {
	lines := make([]string, len(ps))
	for i, p := range ps {
		lines[i] = p.String()
	}
	return strings.Join(lines, "\n")
}

// sorted returns the problems in the order of the text, each once.
func (ps Problems) sorted() Problems {
	slices.SortStableFunc(ps, func(a, b Problem) int {
		return cmp.Or(cmp.Compare(a.File, b.File), cmp.Compare(a.Line, b.Line), cmp.Compare(a.Column, b.Column),
			cmp.Compare(a.Key, b.Key), cmp.Compare(a.Message, b.Message))
	})
	return slices.Compact(ps)
}

// position is a place in a text; lines and columns count from 1, columns in octets. The zero value is nowhere.
type position struct {
	line, column int
}

// in writes the position with its file as compilers do, without the numbers that are 0.
func (p position) in(file string) string {
	if p.line == 0 {
		return file
	}
	file += ":" + strconv.Itoa(p.line)
	if p.column != 0 {
		file += ":" + strconv.Itoa(p.column)
	}
	return file
}
