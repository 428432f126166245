package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/spf13/cobra"

	"gtmd/config"
	"gtmd/node"
)

func newInit() *cobra.Command {
	var given outlineAnswers
	c := &cobra.Command{
		Use:   "init [FILE]",
		Short: "Ask four questions and write a configuration file",
		Long: `Ask for the zone, the access domain, the origins and their health check, and write a configuration
file with comments that passes gtmd check: gtmd.toml, unless another name is given. A file that is there
is never overwritten.

What a flag says is not asked. With --zone, --nameserver and --primary nothing is asked at all.`,
		Example: `  gtmd init
  gtmd init /etc/gtmd/gtmd.toml --zone gtm.example.com --nameserver ns1.example.com \
    --primary 192.0.2.10 --backup 198.51.100.10 --health-check https://www.example.com/health`,
		Args: atMost(1, "one file at most"),
		RunE: func(c *cobra.Command, args []string) error {
			file := "gtmd.toml"
			if len(args) == 1 {
				file = args[0]
			}
			if _, err := os.Stat(file); err == nil {
				return fmt.Errorf("%s is there already: give another name, or move it away", file)
			}
			q := questionnaire{in: bufio.NewReader(c.InOrStdin()), out: c.ErrOrStderr()}
			answers, err := q.ask(given)
			if err != nil {
				return err
			}
			warnings, err := writeOutline(file, answers.text())
			if err != nil {
				return err
			}
			for _, w := range warnings {
				fmt.Fprintln(c.ErrOrStderr(), "warning: "+w.String())
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "%s is written, and passes gtmd check. Look through it, then: gtmd run --config %s\n", file, file)
			return err
		},
	}
	c.Flags().StringVar(&given.zone, "zone", "", "the zone that is delegated to this server")
	c.Flags().StringSliceVar(&given.nameservers, "nameserver", nil, "its name servers, by name")
	c.Flags().StringVar(&given.accessDomain, "access-domain", "", "the name in it that the CDN takes as its origin (default: origin. and the zone)")
	c.Flags().StringSliceVar(&given.primary, "primary", nil, "the origins that answer: addresses, or names")
	c.Flags().StringSliceVar(&given.backup, "backup", nil, "those that answer while none of these does")
	c.Flags().StringVar(&given.healthCheck, "health-check", "", `a URL, "tcp:PORT", "ping" or "none" (default: http://ACCESS-DOMAIN/)`)
	return c
}

// writeOutline writes a new file, when it passes the check, and returns what that warns of.
func writeOutline(file, text string) ([]config.Problem, error) {
	loaded, err := node.Check(func() (*config.Config, error) { return config.LoadText(file, []byte(text)) })
	if err != nil {
		return nil, fmt.Errorf("these answers make no configuration:\n%w", err)
	}
	out, err := os.OpenFile(file, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if errors.Is(err, fs.ErrExist) {
		return nil, fmt.Errorf("%s is there already: give another name, or move it away", file)
	}
	if err != nil {
		return nil, err
	}
	if _, err := io.WriteString(out, text); err != nil {
		out.Close()
		os.Remove(file)
		return nil, fmt.Errorf("write %s: %w", file, err)
	}
	return loaded.Warnings, out.Close()
}

// questionnaire asks questions one by one.
type questionnaire struct {
	in  *bufio.Reader
	out io.Writer
}

// ask asks for what is not given. An answer that cannot be is asked for again.
func (q *questionnaire) ask(given outlineAnswers) (a outlineAnswers, err error) {
	a = given
	if err := a.check(); err != nil {
		return a, &exitError{exitUsage, err}
	}
	isWhole := a.zone != "" && len(a.nameservers) > 0 && len(a.primary) > 0
	questions := []question{
		{"1. The zone that is delegated to this server, such as gtm.example.com", a.zone != "", "", func(a *outlineAnswers, text string) { a.zone = text }},
		{"   Its name servers, by name, such as ns1.example.com ns2.example.com", len(a.nameservers) > 0, "", func(a *outlineAnswers, text string) { a.nameservers = words(text) }},
		{"2. The access domain in it, which the CDN takes as its origin", isWhole || a.accessDomain != "", "origin.ZONE", func(a *outlineAnswers, text string) { a.accessDomain = text }},
		{"3. The primary origins: addresses, or names", len(a.primary) > 0, "", func(a *outlineAnswers, text string) { a.primary = words(text) }},
		{"   The backup origins", isWhole || len(a.backup) > 0, "none", func(a *outlineAnswers, text string) { a.backup = words(text) }},
		{"4. Their health check: a URL such as https://www.example.com/health, tcp:PORT, ping or none", isWhole || a.healthCheck != "", "http://ACCESS-DOMAIN/",
			func(a *outlineAnswers, text string) { a.healthCheck = text }},
	}
	for _, one := range questions {
		if one.isGiven {
			continue
		}
		if a, err = q.askOne(a, one); err != nil {
			return a, err
		}
	}
	if !isWhole {
		fmt.Fprintln(q.out)
	}
	return a, a.check()
}

// question is one of them. An empty answer is the default; without a default it is asked again.
type question struct {
	text     string
	isGiven  bool
	fallback string
	set      func(*outlineAnswers, string)
}

func (q *questionnaire) askOne(a outlineAnswers, one question) (outlineAnswers, error) {
	for {
		fallback := strings.ReplaceAll(strings.ReplaceAll(one.fallback, "ZONE", a.zone), "ACCESS-DOMAIN", a.access())
		if fallback == "" {
			fmt.Fprintf(q.out, "%s: ", one.text)
		} else {
			fmt.Fprintf(q.out, "%s [%s]: ", one.text, fallback)
		}
		line, err := q.in.ReadString('\n')
		if err != nil && line == "" {
			fmt.Fprintln(q.out)
			return a, fmt.Errorf("the answers end before question %q: nothing is written", strings.TrimSpace(one.text))
		}
		text := strings.TrimSpace(line)
		if fallback == "" && (text == "none" || len(words(text)) == 0) {
			continue
		}
		next := a
		if text != "" {
			one.set(&next, text)
		}
		if err := next.check(); err != nil {
			fmt.Fprintf(q.out, "   %v\n", err)
			continue
		}
		return next, nil
	}
}

// words are the parts of an answer that names several things.
func words(text string) []string {
	if text == "none" {
		return nil
	}
	return strings.FieldsFunc(text, func(r rune) bool { return r == ' ' || r == ',' || r == '\t' })
}
