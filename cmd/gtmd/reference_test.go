package main

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
)

// TestCommandReference compares docs/cli.md with the commands. "go test ./cmd/gtmd -run TestCommandReference -update" writes it.
func TestCommandReference(t *testing.T) {
	t.Setenv("GTMD_SOCKET", "")
	var b strings.Builder
	b.WriteString("# The command line\n\n" +
		"<!-- Generated from the commands by: go test ./cmd/gtmd -run TestCommandReference -update -->\n\n" +
		"Every command with its flags, as `gtmd COMMAND --help` has them. `make man` writes the same as man pages into `bin/man`, and\n" +
		"`gtmd completion bash|zsh|fish` writes what a shell completes commands, flags, and the names of the running gtmd with.\n\n" +
		"Where a command has `--json`, it prints the reply of the API ([api.md](api.md)).\n\n" +
		"| exit code | meaning |\n|---|---|\n| 0 | ok |\n| 1 | a check or a start failed, or the answer is no: `diff` found a difference, `selftest` a wrong reply |\n" +
		"| 2 | wrong usage |\n| 3 | the running gtmd cannot be reached |\n\n`gtmd status --nagios` has those of a check of Nagios.\n")
	root := newRoot()
	writeCommands(&b, root)
	const name = "../../docs/cli.md"
	if *update {
		if err := os.WriteFile(name, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), b.String()); diff != "" {
		t.Errorf("%s is stale, run this test with -update (-file +commands):\n%s", name, diff)
	}
}

// writeCommands writes a command and those below it.
func writeCommands(b *strings.Builder, c *cobra.Command) {
	if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
		return
	}
	if c.Runnable() || c.HasParent() {
		fmt.Fprintf(b, "\n## %s\n\n%s.\n", c.CommandPath(), c.Short)
		if c.Long != "" {
			fmt.Fprintf(b, "\n%s\n", escaped(c.Long))
		}
		fmt.Fprintf(b, "\n```text\n%s\n```\n", c.UseLine())
		if c.Example != "" {
			fmt.Fprintf(b, "\n```sh\n%s\n```\n", unindented(c.Example))
		}
		flags := ""
		c.LocalFlags().VisitAll(func(f *pflag.Flag) {
			if !f.Hidden && f.Name != "help" {
				flags += fmt.Sprintf("| `%s` | %s | %s |\n", flagName(f), flagDefault(f), escaped(f.Usage))
			}
		})
		if flags != "" {
			fmt.Fprintf(b, "\n| flag | default | meaning |\n|---|---|---|\n%s", flags)
		}
	}
	for _, child := range c.Commands() {
		writeCommands(b, child)
	}
}

func flagName(f *pflag.Flag) string {
	name := "--" + f.Name
	if f.Shorthand != "" {
		name = "-" + f.Shorthand + ", " + name
	}
	return name
}

func flagDefault(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "[]", "0s", "0":
		return ""
	}
	return "`" + f.DefValue + "`"
}

// escaped keeps a text from being taken for Markdown.
func escaped(text string) string {
	return strings.NewReplacer("|", `\|`, "*", `\*`, "_", `\_`, "<", `\<`).Replace(text)
}

// unindented takes the two spaces off that examples are indented by.
func unindented(text string) string {
	return strings.TrimPrefix(strings.ReplaceAll(text, "\n  ", "\n"), "  ")
}
