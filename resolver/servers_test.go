package resolver

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestSystemServers follows a resolv.conf through its changes.
func TestSystemServers(t *testing.T) {
	path := filepath.Join(t.TempDir(), "resolv.conf")
	log := new(logged)
	s := newSystemServers(path, log.logger())
	// Writes may fall into one tick of the file system's clock: each step has a time of its own.
	at := time.Unix(1_000_000_000, 0)
	write := func(text string) {
		t.Helper()
		at = at.Add(time.Second)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Chtimes(path, at, at); err != nil {
			t.Fatal(err)
		}
	}
	expect := func(step, want string) {
		t.Helper()
		if got := fmt.Sprint(s.current()); got != want {
			t.Errorf("%s: %s", step, got)
		}
	}
	expect("no file", "[127.0.0.1:53]")
	write("# empty\nsearch example.net\n")
	expect("no servers", "[127.0.0.1:53]")
	write("nameserver 192.0.2.53\n  nameserver 192.0.2.53\nnameserver\nnameserver ns.example.net\nnameserver 2001:db8::53\nnameserver fe80::1%lo\nnameserver 192.0.2.54\n")
	expect("three servers", "[192.0.2.53:53 [2001:db8::53]:53 [fe80::1%lo]:53]")
	if got := log.take(); !strings.Contains(got, "servers for names") || strings.Count(got, "\n") != 1 {
		t.Errorf("logged %s", got)
	}
	write("nameserver 192.0.2.55\n")
	expect("another", "[192.0.2.55:53]")
	write("nameserver 192.0.2.56\n")
	expect("another of the same length", "[192.0.2.56:53]")

	// A file that takes its place, with the same time and length.
	other := path + ".new"
	if err := os.WriteFile(other, []byte("nameserver 192.0.2.57\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Chtimes(other, at, at); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	expect("another file", "[192.0.2.57:53]")

	write("")
	expect("just being written", "[192.0.2.57:53]")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	expect("gone", "[192.0.2.57:53]")
	if err := os.Mkdir(path, 0o700); err != nil {
		t.Fatal(err)
	}
	expect("a directory", "[192.0.2.57:53]")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	write("nameserver 192.0.2.58\n")
	expect("back", "[192.0.2.58:53]")
}
