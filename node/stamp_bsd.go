//go:build darwin || freebsd || netbsd

package node

import "syscall"

// changeTime is when an inode changed last.
func changeTime(s *syscall.Stat_t) syscall.Timespec { return s.Ctimespec }
