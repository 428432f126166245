package alert

import (
	"fmt"
	"strings"
	"unicode"
	"unicode/utf8"
)

// zeroWidth is a space that nobody sees, and that no markup goes on over.
const zeroWidth = "\u200b"

// shorten returns a text of at most limit octets, cut between lines where it can be, else between runes. It says how much
// there was: "… 12 more lines". A limit below 40 is taken for 40.
func shorten(text string, limit int) string {
	limit = max(limit, 40)
	if len(text) <= limit {
		return text
	}
	const reserve = 28 // of "\n… 1234567 more characters"
	kept := text[:runeStart(text, limit-reserve)]
	if i := strings.LastIndexByte(kept, '\n'); i > len(kept)/2 {
		return kept[:i] + fmt.Sprintf("\n… %d more lines", strings.Count(strings.TrimRight(text[i:], "\n"), "\n"))
	}
	return kept + fmt.Sprintf("… %d more characters", utf8.RuneCountInString(text[len(kept):]))
}

// runeStart is the last place at or before n at which a rune starts.
func runeStart(text string, n int) int {
	for n > 0 && !utf8.RuneStart(text[n]) {
		n--
	}
	return n
}

// cutRunes returns the first runes of a text, with "…" where there were more than limit.
func cutRunes(text string, limit int) string {
	if utf8.RuneCountInString(text) <= limit {
		return text
	}
	runes := []rune(text)
	return string(runes[:limit-1]) + "…"
}

// clean makes a text of valid UTF-8 without control characters but line breaks, and without what turns the direction of
// writing. What an origin says ends up here.
func clean(text string) string {
	text = strings.ReplaceAll(strings.ToValidUTF8(text, "\ufffd"), "\r\n", "\n")
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n':
			return r
		case r == '\u2028' || r == '\u2029':
			return '\n'
		case unicode.IsControl(r):
			return ' '
		case r >= '\u202a' && r <= '\u202e' || r >= '\u2066' && r <= '\u2069' || r == '\u200e' || r == '\u200f':
			return -1
		}
		return r
	}, text)
}

// oneLineOf is clean without line breaks.
func oneLineOf(text string) string {
	return strings.Join(strings.FieldsFunc(clean(text), func(r rune) bool { return r == '\n' }), " ")
}

// tame takes from a text all that chats make links, mentions, pictures or headings of, whatever their dialect of markdown. It
// looks the same afterwards, but for an asterisk and a backquote, which become look-alikes.
func tame(text string) string {
	var b strings.Builder
	isStart := true // of a line
	for i, r := range text {
		switch {
		case r == '*':
			b.WriteRune('＊')
		case r == '`':
			b.WriteRune('‘')
		case isStart && (r == '#' || r == '>' || r == '='):
			b.WriteString(zeroWidth)
			b.WriteRune(r)
		case r == '<' || r == ']' || r == '@' || r == '&' || r == '!', r == ':' && strings.HasPrefix(text[i:], "://"):
			b.WriteRune(r)
			b.WriteString(zeroWidth)
		default:
			b.WriteRune(r)
		}
		isStart = r == '\n' || isStart && r == ' '
	}
	return b.String()
}

// tameMarkdown is tame, with wide spaces for the indentation of a line, which else would be code or nothing at all.
func tameMarkdown(text string) string {
	lines := strings.Split(tame(text), "\n")
	for i, line := range lines {
		if rest := strings.TrimLeft(line, " "); len(line)-len(rest) > 1 {
			lines[i] = "\u3000" + rest
		}
	}
	return strings.Join(lines, "\n")
}

// tameForSlack is tame, with the three characters that Slack wants as entities.
func tameForSlack(text string) string {
	return strings.NewReplacer("&"+zeroWidth, "&amp;", "<"+zeroWidth, "&lt;", ">", "&gt;").Replace(tame(text))
}
