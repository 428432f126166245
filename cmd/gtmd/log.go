package main

import (
	"bytes"
	"fmt"
	"io"
	"log/slog"
	"os"
	"sync"

	"github.com/spf13/cobra"
)

// logFlags are the flags of commands that log.
type logFlags struct{ level, format string }

func (f *logFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.level, "log-level", "info", "least level logged: debug, info, warn, error")
	c.Flags().StringVar(&f.format, "log-format", "text", "text (logfmt) or json")
}

// logger logs to standard error; under systemd with a priority in front of each line (sd-daemon(3)).
func (f *logFlags) logger() (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.level)); err != nil {
		return nil, &exitError{exitUsage, fmt.Errorf("--log-level %q: want debug, info, warn or error", f.level)}
	}
	var out io.Writer = os.Stderr
	o := &slog.HandlerOptions{Level: level}
	if os.Getenv("JOURNAL_STREAM") != "" && f.format == "text" {
		out = &journal{out: os.Stderr}
		o.ReplaceAttr = func(groups []string, a slog.Attr) slog.Attr {
			if a.Key == slog.TimeKey && len(groups) == 0 {
				return slog.Attr{} // the journal has its own
			}
			return a
		}
	}
	switch f.format {
	case "text":
		return slog.New(slog.NewTextHandler(out, o)), nil
	case "json":
		return slog.New(slog.NewJSONHandler(out, o)), nil
	}
	return nil, &exitError{exitUsage, fmt.Errorf("--log-format %q: want text or json", f.format)}
}

// journal puts the priority of each line in front of it. slog writes a line with one Write.
type journal struct {
	mu  sync.Mutex // guards out
	out io.Writer
}

func (j *journal) Write(line []byte) (int, error) {
	priority := "<6>"
	switch {
	case bytes.HasPrefix(line, []byte("level=ERROR")):
		priority = "<3>"
	case bytes.HasPrefix(line, []byte("level=WARN")):
		priority = "<4>"
	case bytes.HasPrefix(line, []byte("level=DEBUG")):
		priority = "<7>"
	}
	j.mu.Lock()
	defer j.mu.Unlock()
	if _, err := j.out.Write(append([]byte(priority), line...)); err != nil {
		return 0, err
	}
	return len(line), nil
}
