package policy_test

import (
	"errors"
	"strconv"
	"strings"
	"testing"
	"time"

	"gtmd/policy"
)

// healths reads a text: + up, - down, ? unknown.
func healths(text string) []policy.Health {
	var all []policy.Health
	for _, c := range text {
		all = append(all, map[rune]policy.Health{'+': policy.Up, '-': policy.Down, '?': policy.Unknown}[c])
	}
	return all
}

// TestJudge joins the verdicts of several health checks, as Alibaba's HealthJudgement does.
func TestJudge(t *testing.T) {
	for _, row := range []struct {
		judge, verdicts string
		want            policy.Health
	}{
		{"all", "+", policy.Up}, {"all", "-", policy.Down}, {"all", "?", policy.Unknown},
		{"all", "++", policy.Up}, {"all", "+-", policy.Down}, {"all", "+?", policy.Unknown}, {"all", "-?", policy.Down},
		{"any", "+-", policy.Up}, {"any", "--", policy.Down}, {"any", "-?", policy.Unknown}, {"any", "+?", policy.Up},
		{"50%", "+-", policy.Up}, {"50%", "+--", policy.Down}, {"50%", "++-", policy.Up}, {"50%", "+?-", policy.Unknown},
		{"30%", "+---", policy.Down}, {"30%", "++--", policy.Up}, {"70%", "++-", policy.Down}, {"1%", "+-----", policy.Up},
		{"100%", "++", policy.Up}, {"100%", "+-", policy.Down}, {"all", "", policy.Unknown},
	} {
		var j policy.Judge
		if err := j.UnmarshalText([]byte(row.judge)); err != nil {
			t.Fatal(err)
		}
		equal(t, row.judge+" of "+row.verdicts, j.Of(healths(row.verdicts)), row.want)
		equal(t, "text", j.String(), row.judge)
	}
	for _, text := range []string{"", "most", "0%", "101%", "50", "50 %", "ALL"} {
		j := policy.Judge{}
		if err := j.UnmarshalText([]byte(text)); err == nil || !strings.Contains(err.Error(), `want "all", "any", or a share such as "50%"`) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// TestAddressHealth joins the verdicts of an address: of a name, those of what it resolves to, each by all its checks.
func TestAddressHealth(t *testing.T) {
	for _, row := range []struct {
		name, targets, minUp, judge string // addresses of a name between spaces, a letter for each check
		want                        policy.Health
	}{
		{"not probed", "", "1", "all", policy.Unknown},
		{"one check", "+", "1", "all", policy.Up},
		{"two checks, one fails", "+-", "1", "all", policy.Down},
		{"two checks, any", "+-", "1", "any", policy.Up},
		{"a name with one address up, two wanted", "+", "2", "all", policy.Down},
		{"a name with one of three up", "- + -", "1", "all", policy.Up},
		{"a name with one of three up, half wanted", "- + -", "50%", "all", policy.Down},
		{"a name with one of three up and one unknown, half wanted", "? + -", "50%", "all", policy.Unknown},
		{"a name with two checks each", "+- -+ ++", "1", "all", policy.Up},
		{"a name with two checks each, none whole", "+- -+", "1", "all", policy.Down},
		{"a name that is all down", "-- --", "1", "any", policy.Down},
	} {
		a := policy.Address{}
		if err := a.Judge.UnmarshalText([]byte(row.judge)); err != nil {
			t.Fatal(err)
		}
		if err := a.MinUp.UnmarshalText([]byte(row.minUp)); err != nil {
			t.Fatal(err)
		}
		for _, of := range strings.Fields(row.targets) {
			a.Targets = append(a.Targets, strings.Split(of, ""))
		}
		got := a.Health(func(target string) policy.Health { return healths(target)[0] })
		equal(t, row.name, got, row.want)
	}
}

// TestAddressRecovered: an address has come back when as many of its targets have as are wanted.
func TestAddressRecovered(t *testing.T) {
	for _, row := range []struct {
		name, targets, minUp, judge string // a digit is when a target recovered, 0 never was down, - is down
		want                        int    // 0: it never was down
	}{
		{"one target", "3", "1", "all", 3},
		{"never down", "0", "1", "all", 0},
		{"all checks: the last of them", "3 ", "1", "all", 3},
		{"two checks, all wanted", "35", "1", "all", 5},
		{"two checks, any wanted, one never down", "05", "1", "any", 0},
		{"two checks, any wanted, one is down", "-5", "1", "any", 5},
		{"a name of which one address never was down", "0 7", "1", "all", 0},
		{"a name that wants both", "0 7", "2", "all", 7},
		{"a name with one of two down", "- 7", "1", "all", 7},
		{"a name that wants two of three", "9 2 4", "2", "all", 4},
		{"a name with two checks each", "19 28", "1", "all", 8},
		{"a name that is down", "- -", "1", "all", 0},
	} {
		a := policy.Address{}
		if err := errors.Join(a.Judge.UnmarshalText([]byte(row.judge)), a.MinUp.UnmarshalText([]byte(row.minUp))); err != nil {
			t.Fatal(err)
		}
		for _, of := range strings.Fields(row.targets) {
			a.Targets = append(a.Targets, strings.Split(of, ""))
		}
		verdict := func(target string) policy.Health {
			if target == "-" {
				return policy.Down
			}
			return policy.Up
		}
		got := a.Recovered(verdict, func(target string) time.Time {
			if n, _ := strconv.Atoi(target); n > 0 {
				return epoch.Add(time.Duration(n) * time.Second)
			}
			return time.Time{}
		})
		want := time.Time{}
		if row.want > 0 {
			want = epoch.Add(time.Duration(row.want) * time.Second)
		}
		equal(t, row.name, got, want)
	}
}
