package admin

import (
	"errors"
	"fmt"
	"path/filepath"
	"strings"
)

// Check says everything that makes no sense in a request, whatever there is to switch. The names are the backend's to judge.
func (r *SwitchRequest) Check() error {
	return joinProblems(checkTexts([]named{
		{"instance", r.Instance, maxName, true}, {"policy", r.Policy, maxName, true}, {"set", r.Set, maxName, true},
		{"reason", r.Reason, maxReason, false}, {"author", r.Author, maxName, false},
	}))
}

// Check says everything that makes no sense in a request.
func (r *DiffRequest) Check() error {
	switch {
	case strings.ContainsRune(r.Path, 0) || len(r.Path) > 4096:
		return errors.New("path: want that of a file")
	case r.Path != "" && !filepath.IsAbs(r.Path):
		return fmt.Errorf("path %q: want an absolute one: gtmd runs in another directory", r.Path)
	}
	return nil
}

// Check says everything that makes no sense in a request.
func (r *AlertTestRequest) Check() error {
	return joinProblems(checkTexts([]named{{"group", r.Group, maxName, true}, {"method", r.Method, maxName, false}, {"author", r.Author, maxName, true}}))
}

// named is a text of a request, with what it is called and how long it may be.
type named struct {
	name, text string
	limit      int
	isNeeded   bool
}

func checkTexts(all []named) (problems []string) {
	for _, n := range all {
		if n.text != "" || n.isNeeded {
			problems = append(problems, checkText(n.name, n.text, n.limit)...)
		}
	}
	return problems
}
