package policy_test

import (
	"testing"

	"gtmd/policy"
)

func TestThresholdText(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"1", "1"}, {"2", "2"}, {"10000", "10000"}, {"1%", "1%"}, {"50%", "50%"}, {"100%", "100%"},
	} {
		var threshold policy.Threshold
		if err := threshold.UnmarshalText([]byte(row.text)); err != nil {
			t.Errorf("%q: %v", row.text, err)
		}
		equal(t, row.text, threshold.String(), row.want)
	}
	same(t, "count", policy.Count(2).String(), "2")
	same(t, "share", policy.Percent(50).String(), "50%")
	same(t, "no count", policy.Count(0).String(), "1")
	same(t, "zero value", policy.Threshold{}.String(), "1")
}

func TestThresholdBadText(t *testing.T) {
	for _, row := range []struct{ text, want string }{
		{"", `"" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
		{"0", `"0" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
		{"-1", `"-1" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
		{"10001", `"10001" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
		{"1.5", `"1.5" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
		{"half", `"half" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
		{"%", `"%" is no share of the addresses: write "1%" to "100%"`},
		{"0%", `"0%" is no share of the addresses: write "1%" to "100%"`},
		{"101%", `"101%" is no share of the addresses: write "1%" to "100%"`},
		{"-5%", `"-5%" is no share of the addresses: write "1%" to "100%"`},
		{"50%%", `"50%%" is no share of the addresses: write "1%" to "100%"`},
		{"50 %", `"50 %" is no share of the addresses: write "1%" to "100%"`},
		{"99999999999999999999", `"99999999999999999999" is no number of addresses: write 1 to 10000, or a share such as "50%"`},
	} {
		threshold := policy.Count(7)
		err := threshold.UnmarshalText([]byte(row.text))
		if err == nil {
			t.Errorf("%q is read as %s", row.text, threshold)
			continue
		}
		equal(t, "error", err.Error(), row.want)
		equal(t, "threshold after the error", threshold, policy.Count(7))
	}
}

func TestThresholdNeed(t *testing.T) {
	for _, row := range []struct {
		threshold        policy.Threshold
		candidates, want int
	}{
		{policy.Threshold{}, 0, 1}, {policy.Threshold{}, 5, 1},
		{policy.Count(-3), 5, 1}, {policy.Count(3), 5, 3}, {policy.Count(3), 1, 3},
		{policy.Percent(50), 0, 1}, {policy.Percent(50), 1, 1}, {policy.Percent(50), 2, 1}, {policy.Percent(50), 3, 2},
		{policy.Percent(1), 100, 1}, {policy.Percent(1), 101, 2}, {policy.Percent(34), 3, 2}, {policy.Percent(33), 3, 1},
		{policy.Percent(100), 7, 7}, {policy.Percent(99), 7, 7}, {policy.Percent(20), 5, 1}, {policy.Percent(21), 5, 2},
	} {
		if got := row.threshold.Need(row.candidates); got != row.want {
			t.Errorf("%s of %d addresses needs %d, want %d", row.threshold, row.candidates, got, row.want)
		}
	}
}
