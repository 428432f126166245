package admin_test

import (
	"testing"

	"gtmd/admin"
)

func TestNeedsToken(t *testing.T) {
	for listen, want := range map[string]bool{
		"":                        false,
		"127.0.0.1:8553":          false,
		"127.255.255.254:0":       false,
		"[::1]:8553":              false,
		"[::ffff:127.0.0.1]:8553": false,
		"localhost:8553":          false,
		":8553":                   true,
		"0.0.0.0:8553":            true,
		"[::]:8553":               true,
		"192.0.2.1:8553":          true,
		"[::ffff:192.0.2.1]:8553": true,
		"localhost.example:8553":  true,
		"127.0.0.1":               true, // no port: nothing to listen on, so nothing is promised
	} {
		for _, file := range []string{"", "token"} {
			options := admin.Options{Listen: listen, TokenFile: file}
			if got := options.NeedsToken(); got != want {
				t.Errorf("NeedsToken of %q with token_file %q is %t, want %t", listen, file, got, want)
			}
		}
	}
}
