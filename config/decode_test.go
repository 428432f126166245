package config

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"gtmd/policy"
)

// sample is an option struct with a field of every type that can be decoded.
type sample struct {
	Text     string            `toml:"text" default:"here"`
	Yes      bool              `toml:"yes" default:"true"`
	Count    int               `toml:"count" default:"3" range:"1..9"`
	Wait     time.Duration     `toml:"wait" default:"15s" range:"1s..1m"`
	Texts    map[string]string `toml:"texts"`
	Addr     netip.Addr        `toml:"addr"`
	Listen   []netip.AddrPort  `toml:"listen" default:"127.0.0.1:53,[::1]:53"`
	Prefixes []netip.Prefix    `toml:"prefixes"`
	Addrs    []netip.Addr      `toml:"addrs"`
	Kind     policy.PoolType   `toml:"kind"`
	Need     policy.Threshold  `toml:"need" default:"2"`
	Words    []string          `toml:"words"`
	Member   []sampleMember    `toml:"member"`
	Named    []sampleNamed     `toml:"named"`
	Plain    []samplePlain     `toml:"plain"`
	Inner    samplePlain       `toml:"inner"`
	Ignored  int
}

type sampleMember struct {
	Name   string `toml:"address" required:"true" short:"true"`
	Weight int    `toml:"weight" default:"1" range:"0..10"`
}

type sampleNamed struct {
	Name  string        `toml:"name" required:"true"`
	Words []string      `toml:"words" required:"true"`
	Sub   []sampleNamed `toml:"sub"`
}

type samplePlain struct {
	Size  int   `toml:"size" default:"7"`
	Sizes []int `toml:"sizes" range:"1..3"`
}

// Validate refuses a size of 13.
func (p *samplePlain) Validate(problem func(key, message string)) {
	if p.Size == 13 {
		problem("size", "13 is unlucky: want another")
	}
}

// decodeText decodes a text into a sample.
func decodeText(t *testing.T, text string) (sample, Problems) {
	t.Helper()
	doc, problem := parseDocument("f", text)
	if problem != nil {
		t.Fatal(problem)
	}
	var s sample
	problems, _ := decode(doc, &s)
	return s, problems.sorted()
}

func TestDecodeGood(t *testing.T) {
	got, problems := decodeText(t, `
text = "there"
yes = false
count = 0x9
wait = "1m"
texts = { a = "b", "c d" = "" }
addr = "2001:db8::1"
listen = ["[::]:5353"]
prefixes = ["10.0.0.0/8"]
addrs = ["192.0.2.1"]
kind = "domain"
need = "50%"
words = ["x", "y"]
member = ["bare", { address = "table", weight = 0 }]
named = { name = "single", words = ["w"] }
[inner]
size = 8
sizes = [1, 3]
[[plain]]
[[plain]]
size = 9
`)
	if problems != nil {
		t.Fatal(problems)
	}
	want := sample{
		Text: "there", Count: 9, Wait: time.Minute, Texts: map[string]string{"a": "b", "c d": ""},
		Addr: netip.MustParseAddr("2001:db8::1"), Listen: []netip.AddrPort{netip.MustParseAddrPort("[::]:5353")},
		Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}, Addrs: []netip.Addr{netip.MustParseAddr("192.0.2.1")},
		Kind: policy.TypeDomain, Need: policy.Percent(50), Words: []string{"x", "y"},
		Member: []sampleMember{{"bare", 1}, {"table", 0}},
		Named:  []sampleNamed{{Name: "single", Words: []string{"w"}}},
		Plain:  []samplePlain{{Size: 7}, {Size: 9}},
		Inner:  samplePlain{Size: 8, Sizes: []int{1, 3}},
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestDecodeDefaults(t *testing.T) {
	got, problems := decodeText(t, "")
	if problems != nil {
		t.Fatal(problems)
	}
	want := sample{
		Text: "here", Yes: true, Count: 3, Wait: 15 * time.Second, Need: policy.Count(2), Inner: samplePlain{Size: 7},
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:53"), netip.MustParseAddrPort("[::1]:53")},
	}
	if !reflect.DeepEqual(want, got) {
		t.Errorf("got %+v\nwant %+v", got, want)
	}
}

func TestDecodeBad(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{`text = 4`, `f:1:1: text: want a string, not the integer 4`},
		{`text = [1]`, `f:1:1: text: want a string, not a list`},
		{`yes = "true"`, `f:1:1: yes: want true or false, not the string "true"`},
		{`count = "4"`, `f:1:1: count: want an integer, not the string "4"`},
		{`count = 4.5`, `f:1:1: count: want an integer, not the number 4.5`},
		{`count = true`, `f:1:1: count: want an integer, not the boolean true`},
		{`count = 10`, `f:1:1: count: 10 is out of range: want 1 to 9`},
		{`wait = 20`, `f:1:1: wait: want a duration with its unit, such as "20s", not the integer 20`},
		{`wait = -1`, `f:1:1: wait: want a duration with its unit, such as "1s", not the integer -1`},
		{`wait = true`, `f:1:1: wait: want a duration such as "15s", not the boolean true`},
		{`wait = "soon"`, `f:1:1: wait: "soon" is no duration: want a number with its unit, such as "15s", "500ms" or "1h30m"`},
		{`wait = "2m"`, `f:1:1: wait: 2m0s is out of range: want 1s to 1m`},
		{`texts = "a"`, `f:1:1: texts: want a table of strings, not the string "a"`},
		{`texts = { a = 1, "b.c" = true, d = "ok" }`, "f:1:11: texts.a: want a string, not the integer 1\nf:1:18: texts.\"b.c\": want a string, not the boolean true"},
		{`addr = "192.0.2"`, `f:1:1: addr: "192.0.2" is no address: want one such as "192.0.2.1" or "2001:db8::1"`},
		{`addr = 4`, `f:1:1: addr: want an address such as "192.0.2.1", not the integer 4`},
		{`listen = "127.0.0.1:53"`, `f:1:1: listen: want a list of addresses with ports, not the string "127.0.0.1:53"`},
		{`listen = ["127.0.0.1"]`, `f:1:11: listen[0]: "127.0.0.1" is no address with a port: want one such as "192.0.2.1:53" or "[2001:db8::1]:53"`},
		{`listen = [53]`, `f:1:11: listen[0]: want an address with a port such as "192.0.2.1:53", not the integer 53`},
		{`prefixes = ["10.1.2.3/8", "10.0.0.0", 10]`, `f:1:13: prefixes[0]: "10.1.2.3/8" has bits set beyond its length: want "10.0.0.0/8"
f:1:27: prefixes[1]: "10.0.0.0" is no prefix: want one such as "192.0.2.0/24" or "2001:db8::/32"
f:1:39: prefixes[2]: want a prefix such as "192.0.2.0/24", not the integer 10`},
		{`prefixes = "10.0.0.0/8"`, `f:1:1: prefixes: want a list of prefixes, not the string "10.0.0.0/8"`},
		{`addrs = { a = 1 }`, `f:1:1: addrs: want a list of addresses, not a table`},
		{`kind = "ipv5"`, `f:1:1: kind: "ipv5" is unknown: want "ipv4", "ipv6" or "domain"; did you mean "ipv4"?`},
		{`kind = "x"`, `f:1:1: kind: "x" is unknown: want "ipv4", "ipv6" or "domain"`},
		{`kind = 4`, `f:1:1: kind: want "ipv4", "ipv6" or "domain", not the integer 4`},
		{`need = 0`, `f:1:1: need: "0" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
		{`need = "101%"`, `f:1:1: need: "101%" is no share of the addresses: write "1%" to "100%"`},
		{`need = 1.5`, `f:1:1: need: want a string or an integer, not the number 1.5`},
		{`need = 2024-01-01`, `f:1:1: need: want a string or an integer, not a date or time`},
		{`words = "x"`, `f:1:1: words: want a list of strings, not the string "x"`},
		{`words = ["x", "", 1]`, "f:1:15: words[1]: must not be empty\nf:1:19: words[2]: want a string, not the integer 1"},
		{`member = [1, {weight = 11}, "", [1]]`, `f:1:11: member[0]: want a string or a table, not the integer 1
f:1:14: missing key "address" in member[1]
f:1:15: weight in member[1]: 11 is out of range: want 0 to 10
f:1:29: member[2]: must not be empty
f:1:33: member[3]: want a string or a table, not a list`},
		{`named = ["x"]`, `f:1:10: named[0]: want a table, not the string "x"`},
		{`named = 1`, `f:1:1: named: want a list of tables, not the integer 1`},
		{"[[named]]\nname = \"\"\nwords = []", "f:2:1: name in [[named]] \"\": must not be empty\nf:3:1: words in [[named]] \"\": must not be empty"},
		{"[[named]]\nname = \"n\"\nword = 1\n[[named.sub]]\nname = \"m\"\nwords = [\"a\"]\nsubs = 1", `f:1:1: missing key "words" in [[named]] "n"
f:3:1: unknown key "word" in [[named]] "n": did you mean "words"?
f:7:1: unknown key "subs" in [[named.sub]] "m" of [[named]] "n": did you mean "sub"?`},
		{"[inner]\nsize = 13\ncolour = 1", "f:2:1: size in [inner]: 13 is unlucky: want another\nf:3:1: unknown key \"colour\" in [inner]: known keys are size and sizes"},
		{"[inner]\nsize = 13\nsizes = [4]", `f:3:10: sizes[0] in [inner]: 4 is out of range: want 1 to 3`},
		{"[[plain]]\n[[plain]]\nsize = 1\n[inner]\nsize = [[1]]\n[text]", "f:5:1: size in [inner]: want an integer, not a list\nf:6:1: text: want a string, not a table"},
		{`inner = 1`, `f:1:1: inner: want a table, not the integer 1`},
		{`conut = 1`, `f:1:1: unknown key "conut": did you mean "count"?`},
		{`"a b".c = 1`, `f:1:1: unknown key "a b": known keys are addr, addrs, count, inner, kind, listen, member, named, need, plain, prefixes, text, texts, wait, words and yes`},
		{`text = ["` + strings.Repeat("x", 100) + `"]` + "\nkind = \"" + strings.Repeat("x", 100) + `"`, `f:1:1: text: want a string, not a list
f:2:1: kind: "` + strings.Repeat("x", 80) + `"... is unknown: want "ipv4", "ipv6" or "domain"`},
	} {
		_, got := decodeText(t, row.text)
		if diff := cmp.Diff(row.want, got.Error()); diff != "" {
			t.Errorf("problems of\n%s\n(-want +got):\n%s", row.text, diff)
		}
	}
}

// A bad value leaves the default, so that later checks have something to go on with.
func TestDecodeBadKeepsDefault(t *testing.T) {
	got, problems := decodeText(t, "count = 99\ntext = 1\nlisten = 1\ninner = 1\nneed = \"x\"")
	if len(problems) != 5 {
		t.Errorf("got %d problems, want 5:\n%v", len(problems), problems)
	}
	if got.Count != 3 || got.Text != "here" || len(got.Listen) != 2 || got.Inner.Size != 7 || got.Need != policy.Count(2) {
		t.Errorf("got %+v, want the defaults", got)
	}
}

// The tags of option structs are the program's own text, and wrong ones are bugs.
func TestDecodeBadTags(t *testing.T) {
	for _, row := range []struct {
		text string
		into any
		want string
	}{
		{"", &struct {
			N int `toml:"n" default:"many"`
		}{}, `config: default of option n: strconv.Atoi: parsing "many": invalid syntax`},
		{"", &struct {
			L []time.Duration `toml:"l" default:"1s,x"`
		}{}, `config: default of option l: "x" is no duration: want a number with its unit, such as "15s", "500ms" or "1h30m"`},
		{"", &struct {
			B bool `toml:"b" default:"maybe"`
		}{}, `config: default of option b: strconv.ParseBool: parsing "maybe": invalid syntax`},
		{"n = 1", &struct {
			N int `toml:"n" range:"few..many"`
		}{}, `config: range few..many: strconv.Atoi: parsing "few": invalid syntax`},
		{"c = 1", &struct {
			C chan int `toml:"c"`
		}{}, `config: option c has the type chan int, which cannot be decoded`},
	} {
		func() {
			defer func() {
				if got := recover(); got != row.want {
					t.Errorf("panic %v, want %s", got, row.want)
				}
			}()
			doc, _ := parseDocument("f", row.text)
			decode(doc, row.into)
		}()
	}
}

// Every default and range of every option is text that the decoder can read.
func TestTags(t *testing.T) {
	var visit func(of reflect.Type)
	visit = func(of reflect.Type) {
		for _, f := range optionFields(of) {
			value := reflect.New(of.Field(f.index).Type).Elem()
			if f.bounds != "" && (value.Kind() == reflect.Pointer || value.Kind() == reflect.Slice) {
				value = reflect.New(value.Type().Elem()).Elem() // of which each is in range
			}
			if f.hasFallback {
				if err := setDefault(value, f.fallback); err != nil {
					t.Errorf("%s.%s: default: %v", of, f.key, err)
				} else if complaint := outOfRange(value, f.bounds); complaint != "" {
					t.Errorf("%s.%s: default %s", of, f.key, complaint)
				}
			} else if f.bounds != "" {
				outOfRange(value, f.bounds)
			}
			switch kind := value.Type(); {
			case isScalar(value):
			case kind.Kind() == reflect.Struct:
				visit(kind)
			case isTables(kind):
				visit(kind.Elem())
			case kind.Kind() != reflect.Slice && kind != reflect.TypeFor[map[string]string]():
				t.Errorf("%s.%s has the type %s, which cannot be decoded", of, f.key, kind)
			}
		}
	}
	visit(reflect.TypeFor[File]())
}

func TestSuggest(t *testing.T) {
	candidates := []string{"interval", "timeout", "ttl", "name", "fall"}
	for word, want := range map[string]string{
		"intervall": "interval", "Interval": "interval", "nitervla": "interval", "intrvl": "interval", "itrvl": "",
		"naem": "name", "mane": "", "tll": "ttl", "TTL": "ttl", "fell": "fall", "x": "", "": "", "timeouts": "timeout",
	} {
		if got := suggest(word, candidates); got != want {
			t.Errorf("suggest(%q) = %q, want %q", word, got, want)
		}
	}
}

func TestEnumerate(t *testing.T) {
	for want, words := range map[string][]string{"": nil, "a": {"a"}, "a or b": {"a", "b"}, "a, b or c": {"a", "b", "c"}} {
		if got := enumerate(words, "or"); got != want {
			t.Errorf("enumerate(%q) = %q, want %q", words, got, want)
		}
	}
}
