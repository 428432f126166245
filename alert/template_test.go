package alert

import (
	"strings"
	"testing"
	"unicode/utf8"
)

// TestWords makes the title and the text of messages of every shape.
func TestWords(t *testing.T) {
	w := (&MethodOptions{}).wording()
	var titles []string
	for _, m := range samples() {
		title, text := w.words(m, nil)
		if text == "" || strings.Contains(title+text, "<no value>") || strings.Contains(text, "template") {
			t.Errorf("title %q, text %q", title, text)
		}
		titles = append(titles, title)
	}
	want := `[gtmd] ALERT: 192.0.2.1 is down: "timeout"|[gtmd] RESOLVED: 192.0.2.1 is down: "timeout"|[gtmd] ALERT: 192.0.2.1 is down: "timeout"|` +
		`[gtmd] REMINDER: 192.0.2.1 is down: "timeout"|[gtmd] ALERT: 192.0.2.1 is down: "timeout"|[gtmd] TEST: 192.0.2.1 is down: "timeout"`
	if got := strings.Join(titles, "|"); got != want {
		t.Errorf("titles %s\nwant   %s", got, want)
	}
}

// TestWordsOverridden uses the templates of the options, and tells people all the same when one of them fails.
func TestWordsOverridden(t *testing.T) {
	o := &MethodOptions{
		Title: "{{.Group}}/{{.Node}}: {{.Title}}",
		Text:  "{{range .Events}}{{.Kind}} {{.Fields.pool}} {{.Fields.nothing}}{{upper .Key}} {{end}}{{.Omitted}}",
	}
	title, text := o.wording().words(firing(), nil)
	if title != "ops/ns1: 192.0.2.1 of pool hk is down: timeout" || text != "address_down hk HK/192.0.2.1 0" {
		t.Errorf("title %q, text %q", title, text)
	}
	o = &MethodOptions{Title: "{{index .Events 7}}", Text: "{{index .Events 7}}"}
	title, text = o.wording().words(firing(), nil)
	if title != "[gtmd] ALERT: 192.0.2.1 of pool hk is down: timeout" || !strings.Contains(text, "no answer within 5s") || !strings.Contains(text, "the template of this method fails") {
		t.Errorf("title %q, text %q", title, text)
	}
}

// TestTemplateBound ends what a template makes without end.
func TestTemplateBound(t *testing.T) {
	m := firing()
	m.Text = strings.Repeat("x", maxPage)
	o := &MethodOptions{Text: "{{.Text}}{{.Text}}"}
	if _, text := o.wording().words(m, nil); !strings.Contains(text, "makes more than") {
		t.Errorf("a text of %d octets", len(text))
	}
}

func TestShorten(t *testing.T) {
	for _, tt := range []struct {
		text  string
		limit int
		want  string
	}{
		{"short", 40, "short"},
		{strings.Repeat("x", 41), 40, strings.Repeat("x", 12) + "… 29 more characters"},
		{strings.Repeat("a line\n", 20), 80, strings.Repeat("a line\n", 6) + "a line\n… 13 more lines"},
		{strings.Repeat("地", 40), 60, strings.Repeat("地", 10) + "… 30 more characters"},
		{strings.Repeat("x", 60), 0, strings.Repeat("x", 12) + "… 48 more characters"},
	} {
		if got := shorten(tt.text, tt.limit); got != tt.want {
			t.Errorf("%.20q to %d: %q, want %q", tt.text, tt.limit, got, tt.want)
		}
	}
}

func FuzzShorten(f *testing.F) {
	f.Add("a\nb地\n", 10)
	f.Fuzz(func(t *testing.T, text string, limit int) {
		got := shorten(clean(text), limit)
		if len(got) > max(limit, 40) || !utf8.ValidString(got) {
			t.Errorf("%q to %d: %q", text, limit, got)
		}
	})
}

func TestClean(t *testing.T) {
	for text, want := range map[string]string{
		"a\r\nb\tc\x1b[31m":          "a\nb c [31m",
		"\u202egnp.exe\u2066":        "gnp.exe",
		"a\u2028b":                   "a\nb",
		"not \xff utf-8":             "not \ufffd utf-8",
		"中文 العربية emoji 🎉 é":       "中文 العربية emoji 🎉 é",
		"\x00\x7f\u0085next\u200eme": "   nextme",
	} {
		if got := clean(text); got != want {
			t.Errorf("%q: %q, want %q", text, got, want)
		}
	}
	if got := oneLineOf("a\n\nb\r\nc"); got != "a b c" {
		t.Errorf("one line: %q", got)
	}
}

// TestTame leaves what is harmless as it is.
func TestTame(t *testing.T) {
	const harmless = "13:31:02  [2001:db8::1]:443 (pool 华南_hk-1) is down: 5xx, 0 of 1 -> backup; \"x\" ~ 'y' 50%\n- a\n  b"
	if got := strings.ReplaceAll(tame(harmless), zeroWidth, ""); got != harmless {
		t.Errorf("%q", got)
	}
	if got := tameForDingTalk("a\n          Reason: b\n\n c"); got != "a  \n\u3000Reason: b  \n  \n c" {
		t.Errorf("%q", got)
	}
	if got := tameForSlack("a & b <c>\n> d"); got != "a &amp; b &lt;c&gt;\n"+zeroWidth+"&gt; d" {
		t.Errorf("%q", got)
	}
}

// FuzzTame holds that no text makes markup.
func FuzzTame(f *testing.F) {
	f.Add("[a](http://b) <@all> @all *x*")
	f.Fuzz(func(t *testing.T, text string) {
		for _, got := range []string{tame(clean(text)), tameForSlack(clean(text)), tameForDingTalk(clean(text))} {
			for _, harm := range []string{"](", "://", "<@", "<a", "<!", "@all", "*", "`", "\n#", "\n>"} {
				if strings.Contains(got, harm) {
					t.Errorf("%q becomes %q, which has %q", text, got, harm)
				}
			}
		}
	})
}
