package resolver

import (
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"slices"
	"sync"

	"github.com/miekg/dns"
)

const (
	// resolvConf names the servers of the machine (resolv.conf(5)).
	resolvConf = "/etc/resolv.conf"
	// maxSystemServers is how many of them count, as for every other program (MAXNS).
	maxSystemServers = 3
	// maxResolvConf is how much of the file is read, in bytes.
	maxResolvConf = 64 << 10
	// port is that of DNS.
	port = 53
)

// systemServers are the servers that the machine uses, read again when the file that names them is another one.
type systemServers struct {
	path   string
	logger *slog.Logger

	mu      sync.Mutex       // Guards the following.
	read    fs.FileInfo      // Of the file when it was read. Nil: it could not be.
	servers []netip.AddrPort // Never empty, never written to.
}

// newSystemServers returns those of a file, which is read when they are first needed. Until it names one, it is the
// server of this machine, as resolv.conf(5) says.
func newSystemServers(path string, logger *slog.Logger) *systemServers {
	local := netip.AddrPortFrom(netip.AddrFrom4([4]byte{127, 0, 0, 1}), port)
	return &systemServers{path: path, logger: logger, servers: []netip.AddrPort{local}}
}

// current returns the servers to ask now. Those of the last file that named any stay when it is gone or names none, as
// when it is just being written.
func (s *systemServers) current() []netip.AddrPort {
	s.mu.Lock()
	defer s.mu.Unlock()
	info, err := os.Stat(s.path)
	if err != nil || s.read != nil && unchanged(s.read, info) {
		return s.servers
	}
	servers, err := readServers(s.path)
	if err != nil {
		return s.servers
	}
	s.read = info
	if len(servers) > 0 && !slices.Equal(servers, s.servers) {
		s.logger.Info("servers for names", "file", s.path, "servers", servers)
		s.servers = servers
	}
	return s.servers
}

// unchanged reports whether two looks at a path found the same file with the same content, as far as can be told.
func unchanged(a, b fs.FileInfo) bool {
	return os.SameFile(a, b) && a.ModTime().Equal(b.ModTime()) && a.Size() == b.Size()
}

// readServers returns the servers that a file names. What is no address is passed over.
func readServers(path string) ([]netip.AddrPort, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	parsed, err := dns.ClientConfigFromReader(io.LimitReader(file, maxResolvConf))
	if err != nil {
		return nil, err
	}
	var servers []netip.AddrPort
	for _, text := range parsed.Servers {
		addr, err := netip.ParseAddr(text)
		if err != nil || slices.Contains(servers, netip.AddrPortFrom(addr, port)) {
			continue
		}
		servers = append(servers, netip.AddrPortFrom(addr, port))
	}
	return servers[:min(len(servers), maxSystemServers)], nil
}
