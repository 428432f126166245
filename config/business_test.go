package config

import (
	"slices"
	"strings"
	"testing"
	"time"
)

func businessRows() []checkRow {
	const policy = "policy = [{ name = \"G\", sources = [\"global\"], primary = { pools = [\"p4\"] } }]\n"
	return []checkRow{
		{"business: right", policies("cdn_names = [\"*.CDN.example.net.\", \"www.example.org\"]\n" + policy + "[business]\ncheck_interval = \"0s\"\nexcept = [\"WWW.example.com.\"]"), nil},
		{"business: pace", policies(policy + "[business]\ncheck_interval = \"500ms\""), []string{
			`gtmd.toml:27:1: check_interval in [business]: 500ms is too short: want at least 1s, or 0s for never`}},
		{"business: exceptions", policies(policy + "[business]\nexcept = [\"ww.example.com\", \"\", \"a b\"]"), []string{
			`gtmd.toml:27:11: there is no business domain "ww.example.com": did you mean "www.example.com"?`,
			`gtmd.toml:27:29: except[1] in [business]: must not be empty`,
			`gtmd.toml:27:33: "a b" is no domain name: want letters, digits and hyphens in label "a b"`}},
		{"business: names of the CDN", policies("cdn_names = [\"*\", \"*.*.net\", \"cdn..net\", \"www.example.com\", \"*.www.example.com\"]\n" + policy), []string{
			`gtmd.toml:25:14: "*" is a wildcard: want a name of its own`,
			`gtmd.toml:25:19: "*.net" is a wildcard: want a name of its own`,
			`gtmd.toml:25:30: "cdn..net" is no domain name: it has an empty label`,
			`gtmd.toml:25:42: "www.example.com" is a business domain of the instance: want the name that the CDN gave for it`}},
	}
}

// TestBusinessNames: names are canonical, patterns too.
func TestBusinessNames(t *testing.T) {
	rows := businessRows()
	c, err := LoadText("gtmd.toml", []byte(rows[0].text))
	if err != nil {
		t.Fatal(err)
	}
	if got, want := c.File.Instances[0].CDNNames, []string{"*.cdn.example.net.", "www.example.org."}; !slices.Equal(got, want) {
		t.Errorf("cdn_names are %q, want %q", got, want)
	}
	if got := c.File.Business; got.CheckInterval != 0 || !slices.Equal(got.Except, []string{"www.example.com."}) {
		t.Errorf("[business] is %+v", got)
	}
	c, err = LoadText("gtmd.toml", []byte(strings.Replace(rows[0].text, "[business]\ncheck_interval = \"0s\"\nexcept = [\"WWW.example.com.\"]", "", 1)))
	if err != nil || c.File.Business.CheckInterval != 5*time.Minute {
		t.Errorf("without [business] the interval is %v, error %v", c.File.Business.CheckInterval, err)
	}
	_, err = LoadText("gtmd.toml", []byte(strings.Replace(rows[0].text, "business_domains = [\"www.example.com\"]\n", "", 1)))
	if err == nil || !strings.Contains(err.Error(), `there is no business domain "www.example.com": define it in business_domains of an [[instance]]`) {
		t.Errorf("without business domains: %v", err)
	}
}
