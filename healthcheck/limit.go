package healthcheck

import "syscall"

const (
	// fewInFlight and manyInFlight bound the default of probes at the same time.
	fewInFlight, manyInFlight = 256, 65536
)

// defaultMaxInFlight returns how many probes may run at once in a process that may have so many files open. A probe of a
// dead address lasts until its timeout, so that 100,000 targets every 10 s with a timeout of 5 s are up to 50,000 at
// once: a lower limit would let the dead make the living wait. Each holds a descriptor; a quarter is left for what the
// process does else. A probe takes some 20 kB of memory, hence the upper bound.
func defaultMaxInFlight(files uint64) int {
	return int(max(fewInFlight, min(manyInFlight, files/4*3)))
}

// openFiles returns how many files the process may have open. When the system does not tell: 1024.
func openFiles() uint64 {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 1024
	}
	return uint64(limit.Cur) // FreeBSD has it signed.
}
