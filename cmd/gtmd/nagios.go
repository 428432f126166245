package main

import (
	"fmt"
	"io"
	"strings"

	"gtmd/admin"
)

// The exit codes of a check of Nagios and of what has come after it.
const (
	nagiosOK       = 0
	nagiosWarning  = 1
	nagiosCritical = 2
	nagiosUnknown  = 3
)

// printNagios writes a status as a check of Nagios does, and returns its exit code: one line with the worst that is not normal and numbers
// behind a bar, then the others.
func printNagios(out io.Writer, s *admin.Status, more ...trouble) int {
	d := digestOf(s, more...)
	code, word := nagiosOK, "OK"
	var told []string
	for _, t := range d.troubles {
		switch {
		case t.severity == critical:
			code, word = nagiosCritical, "CRITICAL"
		case t.severity == troubled && code == nagiosOK:
			code, word = nagiosWarning, "WARNING"
		}
		told = append(told, strings.ReplaceAll(t.text, "|", "/"))
	}
	text := strings.Join(d.counts, "; ")
	if code != nagiosOK {
		text = told[0]
		if more := len(told) - 1; more > 0 {
			text += fmt.Sprintf(" (and %d more)", more)
		}
	}
	odd, down, addresses, policies := 0, 0, 0, 0
	for i := range s.Instances {
		for j := range s.Instances[i].Policies {
			policies++
			if _, isOdd := howBad(&s.Instances[i].Policies[j]); isOdd {
				odd++
			}
		}
	}
	for i := range s.Pools {
		for j := range s.Pools[i].Addresses {
			addresses++
			if s.Pools[i].Addresses[j].Standing == "down" {
				down++
			}
		}
	}
	fmt.Fprintf(out, "GTMD %s - %s | policies_not_normal=%d;;;0;%d addresses_down=%d;;;0;%d overrides=%d;;;0\n",
		word, text, odd, policies, down, addresses, len(s.Overrides))
	const most = 20
	for i, t := range told {
		if i == most {
			fmt.Fprintf(out, "and %d more\n", len(told)-most)
			break
		}
		fmt.Fprintln(out, t)
	}
	return code
}
