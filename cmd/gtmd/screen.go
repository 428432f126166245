package main

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
	"unicode/utf8"

	"golang.org/x/sys/unix"
)

// screen shows a text anew every interval until it is interrupted: on a terminal in place, on its alternate screen, so that what was
// there before comes back; elsewhere one behind the other.
type screen struct {
	out      io.Writer
	interval time.Duration
	// render returns the lines for a screen of so many; 0 is no limit. It tells what went wrong in them.
	render func(ctx context.Context, height int) []string
}

// The controls of a terminal (ECMA-48, and the private modes of xterm).
const (
	enterScreen = "\x1b[?1049h\x1b[?25l\x1b[?7l" // the alternate screen, without a cursor; wide characters wrap no line
	leaveScreen = "\x1b[?7h\x1b[?25h\x1b[?1049l"
	goHome      = "\x1b[H"
	clearLine   = "\x1b[K"
	clearRest   = "\x1b[J"
)

// run shows the text until ctx ends or a signal comes. The terminal is then as it was.
func (s *screen) run(ctx context.Context) error {
	ctx, stop := signal.NotifyContext(ctx, os.Interrupt, syscall.SIGTERM, syscall.SIGHUP)
	defer stop()
	_, _, isTerminal := s.size()
	resized := make(chan os.Signal, 1)
	if isTerminal {
		signal.Notify(resized, syscall.SIGWINCH)
		defer signal.Stop(resized)
		fmt.Fprint(s.out, enterScreen)
		defer fmt.Fprint(s.out, leaveScreen)
	}
	ticker := time.NewTicker(s.interval)
	defer ticker.Stop()
	for {
		if err := s.show(ctx); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return nil
		case <-resized:
		case <-ticker.C:
		}
	}
}

// show writes the text once, as it is now, in one write: nothing is cleared before it is written over, so nothing flickers.
func (s *screen) show(ctx context.Context) error {
	width, height, isTerminal := s.size()
	if !isTerminal {
		height = 0
	}
	lines := s.render(ctx, height)
	if ctx.Err() != nil {
		return nil
	}
	var b bytes.Buffer
	if !isTerminal {
		for _, line := range lines {
			fmt.Fprintln(&b, line)
		}
		fmt.Fprintln(&b)
	} else {
		b.WriteString(goHome)
		for i, line := range lines[:min(len(lines), height)] {
			if i > 0 {
				b.WriteString("\r\n")
			}
			b.WriteString(cutTo(line, width) + clearLine)
		}
		b.WriteString(clearRest)
	}
	_, err := s.out.Write(b.Bytes())
	return err
}

// size is that of the terminal; false: it is none, or one that has no such controls.
func (s *screen) size() (width, height int, isTerminal bool) {
	file, isFile := s.out.(*os.File)
	if !isFile || os.Getenv("TERM") == "dumb" {
		return 0, 0, false
	}
	size, err := unix.IoctlGetWinsize(int(file.Fd()), unix.TIOCGWINSZ)
	if err != nil {
		return 0, 0, false
	}
	if size.Col == 0 || size.Row == 0 {
		return 80, 24, true
	}
	return int(size.Col), int(size.Row), true
}

// cutTo cuts a line to a width in characters, and takes out what would move the cursor.
func cutTo(line string, width int) string {
	clean := make([]rune, 0, min(utf8.RuneCountInString(line), width))
	for _, r := range line {
		if len(clean) == width {
			clean[width-1] = '…'
			break
		}
		if r == '\t' {
			r = ' '
		}
		if r >= ' ' && r != 0x7f {
			clean = append(clean, r)
		}
	}
	return string(clean)
}
