//go:build linux || darwin || freebsd || netbsd || openbsd

package alert

import (
	"errors"
	"os"
	"syscall"
)

// lock locks a file for this process, until it is closed or the process ends.
func lock(f *os.File) error {
	err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return errLocked
	}
	return err
}
