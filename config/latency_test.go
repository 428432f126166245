package config

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"gtmd/policy"
)

// latencyInstance is an instance by latency with the policy given, which is line 26, and what follows.
func latencyInstance(lines string) string {
	return policies("access_policy_type = \"latency\"\n" + lines)
}

func latencyRows() []checkRow {
	good := latencyInstance("policy = { name = \"G\", primary = { pools = [\"p4\", \"p4b\", \"p6\"] } }\n")
	return []checkRow{
		{"latency: sources left out, and once each", latencyInstance(`policy = [
  { name = "A", primary = { pools = ["p4"] } },
  { name = "B", sources = ["global"], primary = { pools = ["p4"] } },
  { name = "C", sources = [], primary = { pools = ["p4"] } },
]`), []string{
			`gtmd.toml:28:28: source "global" is used already for A at gtmd.toml:27:3: want each source once in an instance`,
			`gtmd.toml:29:17: sources in [[instance.policy]] "C" of [[instance]] "i": must not be empty`}},
		{"latency: balance of sets", latencyInstance(`policy = { name = "G", primary = { pools = ["p4"], balance = "all" }, backup = { pools = ["p4b"], balance = "nearest" } }`), []string{
			`gtmd.toml:26:52: an instance with access_policy_type = "latency" chooses by latency: remove balance`,
			`gtmd.toml:26:99: an instance with access_policy_type = "latency" chooses by latency: remove balance`}},
		{"latency: balance is no word of the file", globalPolicy(`{ pools = ["p4"], balance = "latency" }`), []string{
			`gtmd.toml:25:75: balance in primary of [[instance.policy]] "G" of [[instance]] "i": "latency" is unknown: want "all", "weight", "sequence", "nearest" or "sticky"`}},
		{"latency: several names", latencyInstance(`policy = { name = "G", primary = { pools = ["p4", "p4b"], max_answers = 2 }, backup = { pools = ["pd"], max_answers = 2 } }`), []string{
			`gtmd.toml:26:105: max_answers is 2 in a set of domain pools: an answer has one CNAME, want 1`}},
		{"latency: incomplete entries", "[[latency]]\n[[latency]]\nfrom = \"global\"\nms = 0\n[[latency]]\nfile = \"x\"\nms = 3\n[[latency]]\nfrom = \"global\"\npool = \"p\"\nms = -1\n[[latency]]\nfrom = \"global\"\npool = \"p\"\nms = \"1\"", []string{
			`gtmd.toml:1:1: from in latency[0]: is missing: want from, pool and ms, or file`,
			`gtmd.toml:1:1: ms in latency[0]: is missing: want from, pool and ms, or file`,
			`gtmd.toml:1:1: pool in latency[0]: is missing: want from, pool and ms, or file`,
			`gtmd.toml:2:1: pool in latency[1]: is missing: want from, pool and ms, or file`,
			`gtmd.toml:6:1: file in latency[2]: the entries are in the file: remove from, pool and ms, or make them a [[latency]] of their own`,
			`gtmd.toml:6:1: the file of the latency table: stat x: no such file or directory: want CSV with the header "from,pool,ms"`,
			`gtmd.toml:11:1: ms in latency[3]: -1 is out of range: want 0 to 60000`,
			`gtmd.toml:15:1: ms in latency[4]: want a number, not the string "1"`}},
		{"latency: unknown source and pool", good + `[[latency]]
from = "nowhere"
pool = "p5"
ms = 3.5
[[latency]]
from = "global"
pool = "p4"
ms = 60000`, []string{
			`gtmd.toml:28:1: ` + sourceError("nowhere"),
			`gtmd.toml:29:1: there is no pool "p5": did you mean "p4"?`}},
		{"latency: twice", good + `[[latency]]
from = "global"
pool = "p4"
ms = 3
[[latency]]
from = "default"
pool = "p4"
ms = 4
[[latency]]
from = "global"
pool = "p4b"
ms = 4
[[latency]]
from = "global"
pool = "p4"
ms = 3`, []string{
			`gtmd.toml:32:1: the latency from "default", which means the same clients as "global", to pool "p4" is given already at gtmd.toml:28:1: want it once`,
			`gtmd.toml:40:1: the latency from "global" to pool "p4" is given already at gtmd.toml:28:1: want it once`}},
		{"latency: a pool without a name may be meant", "[[latency]]\nfrom = \"global\"\npool = \"x\"\nms = 1\n[[pool]]\ntype = \"ipv4\"\naddresses = [\"192.0.2.1\"]", []string{
			`gtmd.toml:5:1: missing key "name" in [[pool]]`}},
	}
}

func latencyWarnings() []checkRow {
	table := "[[latency]]\nfrom = \"global\"\npool = \"p4\"\nms = 3\n[[latency]]\nfrom = \"office\"\npool = \"p4\"\nms = 3\n" +
		"[[geo.line]]\nname = \"office\"\nprefixes = [\"10.0.0.0/8\"]\n"
	return []checkRow{
		{"latency table without an instance", globalPolicy(`{ pools = ["p4"] }`) + "\n" + table, []string{
			`gtmd.toml:26:1: the latency table is not used: no instance has access_policy_type = "latency"`}},
		{"latency of a pool that no instance takes by it", latencyInstance("policy = { name = \"G\", primary = { pools = [\"p4b\", \"p6\"] }, backup = { pools = [\"pd\"] } }\n"+table) + strings.ReplaceAll(strings.ReplaceAll(
			policies(`policy = { name = "G", sources = ["global"], primary = { pools = ["p4"] } }`)[len(preamble):], `"i"`, `"j"`), "a.gtm", "b.gtm"), []string{
			`gtmd.toml:9:1: pool "p4b" has neither a [[latency]] nor a health check that would measure one: instance "i" takes it last`,
			`gtmd.toml:13:1: pool "p6" has neither a [[latency]] nor a health check that would measure one: instance "i" takes it last`,
			`gtmd.toml:29:1: no instance with access_policy_type = "latency" has pool "p4": its latencies do not count`}},
	}
}

// TestLatencyInstance loads what an instance by latency leaves out.
func TestLatencyInstance(t *testing.T) {
	c, err := LoadText("gtmd.toml", []byte(latencyInstance(
		`policy = { name = "G", primary = { pools = ["p4"], max_answers = 3 }, backup = [{ pools = ["p4b"], max_answers = 0 }, { pools = ["pd"] }] }`)))
	if err != nil {
		t.Fatal(err)
	}
	p := c.File.Instances[0].Policies[0]
	if diff := cmp.Diff([]string{"global"}, p.Sources); diff != "" {
		t.Errorf("sources (-want +got):\n%s", diff)
	}
	for i, want := range []int{3, 1, 1} {
		set := append([]policy.SetOptions{p.Primary}, p.Backup...)[i]
		if set.Balance != policy.BalanceLatency || set.MaxAnswers != want {
			t.Errorf("set %d has balance %q and max_answers %d, want \"latency\" and %d", i, set.Balance, set.MaxAnswers, want)
		}
	}
}

// latencyFiles are a configuration whose table is in two places: the files given, which begin with the first file, and what
// it holds itself. The entry of the file stands between the others.
const latencyFiles = `-- gtmd.toml --
include = ["conf.d/*.toml"]
latency = { from = "office", pool = "a", ms = 1 }
[[geo.line]]
name = "office"
prefixes = ["10.0.0.0/8"]
[[geo.line]]
name = "lab"
prefixes = ["10.1.0.0/16"]
[[zone]]
name = "gtm.example.com"
nameservers = ["ns1.example.com"]
contact = "hostmaster@example.com"
[[pool]]
name = "a"
type = "ipv4"
addresses = ["192.0.2.1"]
[[pool]]
name = "b, c"
type = "ipv4"
addresses = ["192.0.2.2"]
[[instance]]
name = "i"
access_domain = "a.gtm.example.com"
access_policy_type = "latency"
policy = { name = "G", primary = { pools = ["a", "b, c"] } }
-- conf.d/latency.toml --
[[latency]]
file = "table.csv"
[[latency]]
from = "lab"
pool = "a"
ms = 2.25
-- conf.d/table.csv --
`

func TestLatencyFile(t *testing.T) {
	write(t, latencyFiles+"\ufeff# from a survey, \"2026\"\n\nfrom, pool ,ms\r\n  # and more\noffice,\"b, c\", 35.5 \n \nlab,\"b, c\",0\ndefault,a,6e4")
	c, err := Load("gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, l := range c.Latency {
		got = append(got, fmt.Sprintf("%s %s %v %s", l.From, l.Pool, l.MS, l.At))
	}
	want := []string{
		"office a 1 gtmd.toml:2:13: ", "office b, c 35.5 conf.d/table.csv:5:1: ", "lab b, c 0 conf.d/table.csv:7:1: ",
		"default a 60000 conf.d/table.csv:8:1: ", "lab a 2.25 conf.d/latency.toml:4:1: ",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("table (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff([]string{"gtmd.toml", "conf.d/latency.toml", "conf.d/table.csv"}, c.Files); diff != "" {
		t.Errorf("files (-want +got):\n%s", diff)
	}
	if len(c.Warnings) > 0 {
		t.Errorf("warnings:\n%s", warningText(c))
	}
	if err := os.WriteFile("conf.d/table.csv", []byte("from,pool,ms\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	changed, err := Load("gtmd.toml")
	if err != nil {
		t.Fatal(err)
	}
	if changed.Hash == c.Hash {
		t.Error("the hash does not tell that a latency file has changed")
	}
}

func TestLatencyFileBad(t *testing.T) {
	many, capped := "from,pool,ms\n", []string(nil)
	for i := range 30 {
		many += fmt.Sprintf("global,x%d,1\n", i)
		if i < maxRowErrors {
			capped = append(capped, fmt.Sprintf(`conf.d/table.csv:%d:8: pool: there is no pool "x%d": want "a" or "b, c"`, i+2, i))
		}
	}
	for _, row := range []struct {
		name, table string
		want        []string
	}{
		{"empty", "# nothing yet\n", []string{
			`conf.d/table.csv:1: the file is empty: want the header "from,pool,ms" and a line for each latency`}},
		{"no header", "global,a,3\n", []string{
			`conf.d/table.csv:1:1: the first line is "global,a,3": want the header "from,pool,ms"`}},
		{"another header", "# x\nFrom;Pool;MS\nglobal;a;3\n", []string{
			`conf.d/table.csv:2:1: the first line is "From;Pool;MS": want the header "from,pool,ms"`}},
		{"bad fields", "from,pool,ms\nglobal,a\nglobal,a,3,4\n,,\nglobal, a ,fast\nglobal,a,NaN\nglobal,a,60000.5\nglobal,a,-1\nglobal,a,1\n", []string{
			`conf.d/table.csv:2:1: the row has 2 columns: want 3, from, pool and ms`,
			`conf.d/table.csv:3:1: the row has 4 columns: want 3, from, pool and ms`,
			`conf.d/table.csv:4:1: from: must not be empty`,
			`conf.d/table.csv:4:2: pool: must not be empty`,
			`conf.d/table.csv:4:3: ms: must not be empty`,
			`conf.d/table.csv:5:12: ms: "fast" is no number: want milliseconds, such as 35 or 35.5`,
			`conf.d/table.csv:6:10: ms: "NaN" is no number: want milliseconds, such as 35 or 35.5`,
			`conf.d/table.csv:7:10: ms: 60000.5 is out of range: want 0 to 60000`,
			`conf.d/table.csv:8:10: ms: -1 is out of range: want 0 to 60000`}},
		{"bad quotes end it", "from,pool,ms\nglobal,a,\"1\"x\nglobal,a,y\n", []string{
			`conf.d/table.csv:2:12: extraneous or missing " in quoted-field: want a row such as "country:JP,tokyo,35"`}},
		{"bad sources and pools", "from,pool,ms\nglobal,a,1\nnowhere, \"d\",1\ndefault,a,2\noffice,a,3\n", []string{
			`conf.d/table.csv:3:1: from: ` + sourceError("nowhere", "office", "lab"),
			`conf.d/table.csv:3:10: pool: there is no pool "d": want "a" or "b, c"`,
			`conf.d/table.csv:4:1: from: the latency from "default", which means the same clients as "global", to pool "a" is given already at conf.d/table.csv:2:1: want it once`,
			`conf.d/table.csv:5:1: from: the latency from "office" to pool "a" is given already at gtmd.toml:2:13: want it once`}},
		{"too many", many, capped},
	} {
		t.Run(row.name, func(t *testing.T) {
			write(t, latencyFiles+row.table)
			_, err := Load("gtmd.toml")
			if diff := cmp.Diff(strings.Join(row.want, "\n"), errorText(err)); diff != "" {
				t.Errorf("problems (-want +got):\n%s", diff)
			}
		})
	}
}

func TestLatencyFileTwice(t *testing.T) {
	write(t, "-- gtmd.toml --\nlatency = [{ file = \"a.csv\" }, { file = \"a.csv\" }, { file = \"none.csv\" }]\n-- a.csv --\nfrom,pool,ms\n")
	_, err := Load("gtmd.toml")
	want := "gtmd.toml:1:34: file \"a.csv\" is listed already as latency[0]: want it once\n" +
		`gtmd.toml:1:54: the file of the latency table: stat none.csv: no such file or directory: want CSV with the header "from,pool,ms"`
	if diff := cmp.Diff(want, errorText(err)); diff != "" {
		t.Errorf("problems (-want +got):\n%s", diff)
	}
}

// FuzzLatencyFile reads arbitrary text: each problem has a place in it, and what is read without one is in range.
func FuzzLatencyFile(f *testing.F) {
	for _, text := range []string{"", "from,pool,ms\n\"a\",b,1e3\n#\n , ,\n", "from,pool,ms\n\"a\nb\",\"c\"\"\",.5", "\ufefffrom,pool,ms\r\na,b,0x1p4\r\n", "from,pool,ms\n\"\n"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		entries, problems := readLatency("f", text)
		lines := strings.Count(string(text), "\n") + 1
		for _, p := range problems {
			if p.File != "f" || p.Line < 1 || p.Line > lines || p.Message == "" {
				t.Errorf("problem %+v of %q", p, text)
			}
		}
		for _, e := range entries {
			if e.From == "" || e.Pool == "" || !(e.MS >= 0 && e.MS <= maxLatency) || e.At.Line < 1 || e.pool.Line > lines || !e.isRow {
				t.Errorf("entry %+v of %q", e, text)
			}
		}
	})
}
