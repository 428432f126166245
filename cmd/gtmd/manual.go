package main

import (
	"fmt"
	"strings"
	"time"
)

// optionsPage makes gtmd.toml(5) from the Markdown of docs/options.md: its headings, its paragraphs, and each row of its tables as an
// option with what is to be said of it.
func optionsPage(markdown string, date time.Time) string {
	var b strings.Builder
	fmt.Fprintf(&b, ".TH GTMD.TOML 5 %q \"gtmd %s\" \"Global Traffic Manager\"\n", date.Format("Jan 2006"), release)
	b.WriteString(".SH NAME\ngtmd.toml \\- the configuration of gtmd\n.SH DESCRIPTION\n")
	for line := range strings.Lines(markdown) {
		line = strings.TrimSpace(line)
		switch {
		case line == "":
			b.WriteString(".PP\n")
		case strings.HasPrefix(line, "<!--"), strings.HasPrefix(line, "# "), strings.HasPrefix(line, "|---"), strings.HasPrefix(line, "| option |"):
		case strings.HasPrefix(line, "## "):
			fmt.Fprintf(&b, ".SH %s\n", roff(strings.TrimPrefix(line, "## ")))
		case strings.HasPrefix(line, "|"):
			writeOption(&b, strings.Split(strings.Trim(line, "|"), "|"))
		default:
			b.WriteString(roff(line) + "\n")
		}
	}
	b.WriteString(".SH SEE ALSO\n.BR gtmd (8),\n.BR gtmd\\-check (8),\n.BR gtmd\\-diff (8)\n")
	return b.String()
}

// writeOption writes a row: the option, its type, its default, its range, what it means.
func writeOption(b *strings.Builder, cells []string) {
	for len(cells) < 5 {
		cells = append(cells, "")
	}
	for i := range cells {
		cells[i] = strings.TrimSpace(cells[i])
	}
	fmt.Fprintf(b, ".TP\n\\fB%s\\fR (%s", roff(cells[0]), roff(cells[1]))
	switch {
	case cells[2] == "required":
		b.WriteString(", required")
	case cells[2] != "":
		fmt.Fprintf(b, ", default %s", roff(cells[2]))
	}
	if cells[3] != "" {
		fmt.Fprintf(b, "; %s", roff(cells[3]))
	}
	fmt.Fprintf(b, ")\n%s\n", roff(strings.Join(cells[4:], "|")))
}

// roff writes a text of Markdown so that groff takes it as it is.
func roff(text string) string {
	text = strings.NewReplacer("`", "", `\|`, "|", `\`, `\e`, "-", `\-`).Replace(text)
	if strings.HasPrefix(text, ".") || strings.HasPrefix(text, "'") {
		text = `\&` + text
	}
	return text
}
