package config

import "testing"

func TestMask(t *testing.T) {
	for text, want := range map[string]string{
		"name = \"web\"\n":                                                "name = \"web\"\n",
		"token_file = \"/etc/gtmd/token\"\n":                              "token_file = \"/etc/gtmd/token\"\n",
		"password = \"a \\\" b\" # x\n":                                   "password = \"***\" # x\n",
		"smtp_password='x'\n":                                             "smtp_password=\"***\"\n",
		"secret = \"\"\"a\nb\nc\"\"\"\nname = 1\n":                        "secret = \"***\"\n\n\nname = 1\n",
		"# secret = hidden\n":                                             "# secret = \"***\"\n",
		"headers = { X-Api-Key = \"k\", Authorization = \"Bearer x\" }\n": "headers = { X-Api-Key = \"***\", Authorization = \"***\" }\n",
		"url = \"https://x.test/robot?access_token=abc&a=b\"\n":           "url = \"https://x.test/robot?access_token=***&a=b\"\n",
		"\"my token\" = \"x\"\n":                                          "\"my token\" = \"***\"\n",
		"tokens = [\"x\"]\n":                                              "tokens = [\"x\"]\n",
		"token = [\"x\",\n\"y\"]\n":                                       "token = \"***\"\n\n",
		"token = \"unfinished\n":                                          "token = \"***\"\n",
		`url = "https://user:hunter2@sms.example/x?a=b@c"`:                `url = "https://user:***@sms.example/x?a=b@c"`,
		`url = "https://sms.example:8443/a:b@c"`:                          `url = "https://sms.example:8443/a:b@c"`,
		"# the token of a\nsecret = 'x'\nname = 1":                        "# the token of a\nsecret = \"***\"\nname = 1",
	} {
		if got := Mask(text); got != want {
			t.Errorf("%q becomes %q, want %q", text, got, want)
		}
	}
}
