package node

import (
	"errors"
	"fmt"
	"os"

	"gtmd/admin"
	"gtmd/config"
)

// mostText bounds the text of one file that is sent, in octets.
const mostText = 1 << 20

// ConfigText is the configuration as text; see admin.Backend. It looks at the files on disk, to tell which have changed.
func (n *Node) ConfigText() admin.ConfigText {
	w := n.world.Load()
	t := admin.ConfigText{ConfigStatus: n.configStatus(w), Files: []admin.ConfigFile{}}
	for i, name := range w.config.Files {
		text := w.config.Texts[i]
		file := admin.ConfigFile{Name: name, Text: config.Mask(text), Changed: isChanged(name, text)}
		if len(file.Text) > mostText {
			file.Text = file.Text[:mostText] + fmt.Sprintf("\n... (%d octets in all)\n", len(text))
		}
		t.Files = append(t.Files, file)
	}
	if refused := n.lastReload.Load(); refused != nil {
		t.Problems = configProblems(refused.err, n.options.Name)
	}
	return t
}

// isChanged reports whether a file on disk has another text than it had. One that is not there has none.
func isChanged(name, text string) bool {
	info, err := os.Stat(name)
	if err != nil || text == "" { // empty, or not kept
		return false
	}
	if info.Size() != int64(len(text)) {
		return true
	}
	now, err := os.ReadFile(name)
	return err != nil || string(now) != text
}

// configProblems are the problems of an error, each with its place. What is no problem of a text is one of the file as a whole.
func configProblems(err error, file string) []admin.ConfigProblem {
	var problems config.Problems
	if !errors.As(err, &problems) {
		return []admin.ConfigProblem{{File: file, Message: err.Error()}}
	}
	var all []admin.ConfigProblem
	for _, p := range problems {
		all = append(all, admin.ConfigProblem{File: p.File, Line: p.Line, Column: p.Column, Message: p.Message, Text: p.Text})
	}
	return all
}
