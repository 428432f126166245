package main

import (
	"slices"
	"testing"
)

// TestSuccessor: a successor gets what this process was given, but for what would keep it from taking over, and for what
// systemd meant for this process alone (sd_listen_fds(3), sd_watchdog_enabled(3)).
func TestSuccessor(t *testing.T) {
	got := successorArguments([]string{"gtmd", "run", "--no-take-over", "--config", "a.toml", "--no-take-over=true"})
	if want := []string{"gtmd", "run", "--config", "a.toml"}; !slices.Equal(got, want) {
		t.Errorf("arguments %q, want %q", got, want)
	}
	got = successorEnvironment([]string{"PATH=/bin", "LISTEN_PID=1", "LISTEN_FDS=2", "LISTEN_FDNAMES=a:b", "WATCHDOG_PID=1", "WATCHDOG_USEC=2", "NOTIFY_SOCKET=/n"})
	if want := []string{"PATH=/bin", "WATCHDOG_USEC=2", "NOTIFY_SOCKET=/n"}; !slices.Equal(got, want) {
		t.Errorf("environment %q, want %q", got, want)
	}
}
