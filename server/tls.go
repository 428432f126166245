package server

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// certificates hold the certificate of DNS over TLS, and read it anew when its files change. All listeners use one
// tls.Config for the server's whole life, so that the keys of session tickets, which the Config makes and replaces daily,
// outlive a new certificate: a client that resumes its session goes on to.
type certificates struct {
	log    *slog.Logger
	stats  *streamStats
	config *tls.Config
	pair   atomic.Pointer[tls.Certificate]
	every  time.Duration // between two looks at the files

	stop context.CancelFunc // of the watcher; nil when there is none. Guarded by Server.mu
	done sync.WaitGroup
}

func newCertificates(log *slog.Logger, stats *streamStats) *certificates {
	c := &certificates{log: log, stats: stats, every: 2 * time.Second}
	c.config = &tls.Config{
		MinVersion: tls.VersionTLS12, // RFC 9325 section 3.1.1
		// A client that offers protocols, and not this one, is refused (RFC 7301 section 3.2); one that offers none is served.
		NextProtos: []string{"dot"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			if pair := c.pair.Load(); pair != nil {
				return pair, nil
			}
			return nil, errors.New("no certificate") // TLS has just been switched off
		},
	}
	return c
}

// secure is the server's side of a TLS connection.
func (c *certificates) secure(conn net.Conn) net.Conn { return tls.Server(conn, c.config) }

// Certificate reads the pair that the options name.
func (o *TLSOptions) Certificate() (*tls.Certificate, error) {
	certificate, err := readRegular(o.CertificateFile)
	if err != nil {
		return nil, fmt.Errorf("read certificate_file: %w", err)
	}
	key, err := readRegular(o.KeyFile)
	if err != nil {
		return nil, fmt.Errorf("read key_file: %w", err)
	}
	pair, err := tls.X509KeyPair(certificate, key)
	if err != nil {
		return nil, fmt.Errorf("certificate_file %s with key_file %s: %w", o.CertificateFile, o.KeyFile, err)
	}
	return &pair, nil
}

// readRegular reads a file that cannot keep the reader waiting, as a pipe would.
func readRegular(name string) ([]byte, error) {
	info, err := os.Stat(name)
	if err == nil && !info.Mode().IsRegular() {
		err = fmt.Errorf("%s is not a regular file", name)
	}
	if err != nil {
		return nil, err
	}
	return os.ReadFile(name)
}

// use shows a pair from now on, and watches the files that it came from; nil is none. It ends watching other files.
func (c *certificates) use(o TLSOptions, pair *tls.Certificate) {
	if c.stop != nil {
		c.stop()
		c.done.Wait()
		c.stop = nil
	}
	c.show(pair)
	if pair == nil {
		return
	}
	ctx, stop := context.WithCancel(context.Background())
	c.stop = stop
	// What changes from here on is seen: a pair that changed between its reading and now is read once more.
	c.done.Go(func() { c.watch(ctx, o) })
}

func (c *certificates) show(pair *tls.Certificate) {
	c.pair.Store(pair)
	expiry := int64(0)
	if pair != nil {
		expiry = pair.Leaf.NotAfter.Unix()
	}
	c.stats.expiry.Store(expiry)
}

// watch reads the pair anew when a file of it has changed and then stayed as it is for one interval, so that it is not
// read between the writing of the one and of the other. One that cannot be used is not tried again until it changes.
func (c *certificates) watch(ctx context.Context, o TLSOptions) {
	ticker := time.NewTicker(c.every)
	defer ticker.Stop()
	var seen, tried fileStamps
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		present := fileStamps{stampFile(o.CertificateFile), stampFile(o.KeyFile)}
		if present == seen && present != tried {
			tried = present
			c.reload(o)
		}
		seen = present
	}
}

// reload shows the pair in the files, or keeps the one before when that cannot be used.
func (c *certificates) reload(o TLSOptions) {
	pair, err := o.Certificate()
	if err != nil {
		c.stats.loads.Add(1)
		c.log.Error("read the certificate of DNS over TLS: the one before serves on", "error", err)
		return
	}
	if before := c.pair.Load(); slices.EqualFunc(before.Certificate, pair.Certificate, slices.Equal) {
		return
	}
	c.show(pair)
	c.log.Info("the certificate of DNS over TLS is new", "subject", pair.Leaf.Subject.String(), "expires", pair.Leaf.NotAfter)
}

// fileStamps tell whether the certificate or the key has changed.
type fileStamps [2]fileStamp

// fileStamp changes when a file does. The zero value is that of a file that is not there.
type fileStamp struct {
	changed int64 // in nanoseconds since 1970
	size    int64
}

func stampFile(name string) fileStamp {
	info, err := os.Stat(name)
	if err != nil {
		return fileStamp{}
	}
	return fileStamp{info.ModTime().UnixNano(), info.Size()}
}

// Clash is the one of some addresses whose TCP port an address of TLS would share, so that clients find now TLS there and now not; none
// is invalid.
func Clash(secure netip.AddrPort, listen []netip.AddrPort) netip.AddrPort {
	if i := slices.IndexFunc(listen, func(plain netip.AddrPort) bool { return meet(secure, plain) }); i >= 0 {
		return listen[i]
	}
	return netip.AddrPort{}
}

// prepareTLS reads the certificate and opens the addresses of TLS.
func (c *Change) prepareTLS() (errs []error) {
	o := &c.options.TLS
	if len(o.Listen) == 0 {
		return nil
	}
	pair, err := o.Certificate()
	if err != nil {
		return []error{fmt.Errorf("listen for DNS over TLS: %w", err)}
	}
	c.pair = pair
	for _, address := range o.Listen {
		if running := c.server.listeners[address]; running != nil && running.tcp.secure || c.fresh[address] != nil {
			continue
		}
		l, err := c.openTLS(address)
		if err != nil {
			errs = append(errs, fmt.Errorf("listen on %s over TLS: %w%s", address, err, hint(address, err)))
			continue
		}
		c.fresh[address] = l
	}
	return errs
}

// openTLS opens the socket of an address of TLS.
func (c *Change) openTLS(address netip.AddrPort) (*listener, error) {
	if address.Port() != 0 && !c.overlaps(address) {
		// Without sharing: nobody else may have it, as with UDP.
		probe, err := net.Listen(network("tcp", address), address.String())
		if err != nil {
			return nil, err
		}
		probe.Close()
	}
	t, err := c.server.openTCP(address, true)
	if err != nil {
		return nil, err
	}
	return &listener{address: address, tcp: t}, nil
}
