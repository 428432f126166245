package server

import (
	"encoding/binary"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/miekg/dns"

	"gtmd/geo"
	"gtmd/policy"
	"gtmd/server/view"
)

// patience is how long a test waits for what must come. Nothing waits that long unless it fails.
const patience = 20 * time.Second

var testZone = `$TTL 300
@ 3600 SOA ns1 host 1 7200 900 1209600 30
@ 3600 NS ns1
ns1 A 192.0.2.53
www A 192.0.2.1
alias CNAME www
sub NS ns.sub
ns.sub A 192.0.2.54
` + bigRecords()

// bigRecords are an RRset of about 9 kB.
func bigRecords() string {
	var b strings.Builder
	for i := range 560 {
		fmt.Fprintf(&b, "big A 198.18.%d.%d\n", i/256, i%256)
	}
	return b.String()
}

// cities is a City database with clients of 64 places in 64 networks of each of 16 blocks, those of every other place in Japan.
func cities(tb testing.TB) *geo.Database {
	tb.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: "GeoLite2-City", IPVersion: 6, RecordSize: 24, DisableIPv4Aliasing: true, IncludeReservedNetworks: true,
	})
	if err != nil {
		tb.Fatal(err)
	}
	for i := range 1024 {
		record := mmdbtype.Map{"location": mmdbtype.Map{"latitude": mmdbtype.Float64(i % 64), "longitude": mmdbtype.Float64(9)}}
		if i%2 == 0 {
			record["country"] = mmdbtype.Map{"iso_code": mmdbtype.String("JP")}
		}
		network := &net.IPNet{IP: net.IPv4(byte(64+i/64), byte(4*(i%64)), 0, 0).To4(), Mask: net.CIDRMask(14, 32)}
		if err := tree.Insert(network, record); err != nil {
			tb.Fatal(err)
		}
	}
	path := filepath.Join(tb.TempDir(), "cities.mmdb")
	file, err := os.Create(path)
	if err != nil {
		tb.Fatal(err)
	}
	defer file.Close()
	if _, err := tree.WriteTo(file); err != nil {
		tb.Fatal(err)
	}
	d, err := geo.ReadDatabase(path)
	if err != nil {
		tb.Fatal(err)
	}
	return d
}

// newView is a view with an access domain for each balance, and "ecs" with 1000 custom prefixes.
func newView(tb testing.TB, generation uint64, counter func(view.CounterKey) int) *view.View {
	tb.Helper()
	z := view.Zone{Name: "gtm.test."}
	parser := dns.NewZoneParser(strings.NewReader(testZone), z.Name, "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		z.Records = append(z.Records, rr)
	}
	if err := parser.Err(); err != nil {
		tb.Fatal(err)
	}
	lines := []geo.LineOptions{{Name: "office"}}
	for i := range 1000 {
		address := netip.AddrFrom4([4]byte{10, byte(i), byte(i >> 8), 0})
		lines[0].Prefixes = append(lines[0].Prefixes, netip.PrefixFrom(address, 24))
	}
	far, err := geo.ParseSelector("country:JP", nil, nil)
	if err != nil {
		tb.Fatal(err)
	}
	places, err := geo.Compile(geo.Input{Lines: lines, Databases: []*geo.Database{cities(tb)}, Selectors: []geo.Selector{far}, Places: true})
	if err != nil {
		tb.Fatal(err)
	}
	input := view.Input{Generation: generation, Zones: []view.Zone{z}, Map: places, Counter: counter}
	pools := map[string]*policy.Pool{}
	for _, name := range []string{"four", "spare"} {
		latitude, longitude := float64(len(name)*8), 9.0 // 32 and 40 degrees north
		o := policy.PoolOptions{Name: name, Type: policy.TypeIPv4, Balance: policy.BalanceWeight,
			Location: policy.LocationOptions{Latitude: &latitude, Longitude: &longitude}}
		for i := range 4 {
			o.Addresses = append(o.Addresses, policy.AddressOptions{Address: fmt.Sprintf("198.51.100.%d", len(name)*10+i), Mode: policy.ModeOnline, Weight: i + 1})
		}
		pools[name] = policy.NewPool(o, nil)
	}
	for _, balance := range []policy.Balance{policy.BalanceAll, policy.BalanceWeight, policy.BalanceSticky, policy.BalanceNearest, policy.BalanceLatency, "ecs"} {
		o := policy.InstanceOptions{Name: string(balance), AccessDomain: string(balance) + ".gtm.test.", TTL: 60}
		if balance == "ecs" {
			balance = policy.BalanceAll
			o.Policies = append(o.Policies, policyOf("Office", "office", "spare", balance))
		}
		o.Policies = append(o.Policies, policyOf("Global", "global", "four", balance))
		if balance == policy.BalanceNearest || balance == policy.BalanceLatency {
			primary := &o.Policies[0].Primary
			primary.Pools = append(primary.Pools, policy.PoolRefOptions{Pool: "spare", Weight: 1})
		}
		in := view.Instance{Instance: policy.NewInstance(o, pools)}
		if balance == policy.BalanceLatency {
			in.Latency = []view.Latency{{From: far, Pool: "spare", MS: 10}, {From: geo.Global, Pool: "four", MS: 20}}
			in.RTT = map[string]uint32{"spare": 30}
		}
		for _, p := range in.Policies {
			source, err := geo.ParseSelector(p.Sources[0], lines, nil)
			if err != nil {
				tb.Fatal(err)
			}
			in.Sources = append(in.Sources, []geo.Selector{source})
			in.Decisions = append(in.Decisions, [2]*policy.Decision{policy.Decide(p.Decided[policy.IPv4], policy.State{}, policy.Memory{}, time.Unix(1e9, 0))})
		}
		input.Instances = append(input.Instances, in)
	}
	v, err := view.Build(input)
	if err != nil {
		tb.Fatal(err)
	}
	return v
}

func policyOf(name, source, pool string, balance policy.Balance) policy.PolicyOptions {
	return policy.PolicyOptions{Name: name, Sources: []string{source}, Switch: policy.SwitchAuto,
		Primary: policy.SetOptions{Balance: balance, Pools: []policy.PoolRefOptions{{Pool: pool, Weight: 1}}}}
}

// options listen on addresses with two workers.
func options(listen ...string) Options {
	o := Options{Workers: 2, MaxUDPPayload: 1232, TCPIdleTimeout: patience, TCPMessageTimeout: patience, TCPConnections: 100, TCPConnectionsPerClient: 100}
	for _, address := range listen {
		o.Listen = append(o.Listen, netip.MustParseAddrPort(address))
	}
	return o
}

// newServer is a server with a view that listens as options say; the test closes it.
func newServer(tb testing.TB, o Options) *Server {
	tb.Helper()
	stats := NewStats()
	s := New(slog.New(slog.NewTextHandler(io.Discard, nil)), stats)
	if err := s.Swap(newView(tb, 1, stats.Counter)); err != nil {
		tb.Fatal(err)
	}
	apply(tb, s, o)
	tb.Cleanup(s.Close)
	return s
}

// apply makes the server listen as options say.
func apply(tb testing.TB, s *Server, o Options) {
	tb.Helper()
	change, err := s.Prepare(o)
	if err != nil {
		tb.Fatal(err)
	}
	change.Commit()
}

// packet is a query; with a size, it has an OPT record.
func packet(tb testing.TB, name string, qtype uint16, size uint16, subnet string) []byte {
	tb.Helper()
	m := new(dns.Msg)
	m.SetQuestion(name, qtype)
	if size > 0 {
		m.SetEdns0(size, false)
	}
	if subnet != "" {
		prefix := netip.MustParsePrefix(subnet)
		opt := m.IsEdns0()
		opt.Option = append(opt.Option, &dns.EDNS0_SUBNET{Code: dns.EDNS0SUBNET, Family: 1, SourceNetmask: uint8(prefix.Bits()), Address: prefix.Addr().AsSlice()})
	}
	packed, err := m.Pack()
	if err != nil {
		tb.Fatal(err)
	}
	return packed
}

// dial connects to an address; the test closes the connection, and nothing waits longer than patience on it.
func dial(tb testing.TB, network string, address netip.AddrPort) net.Conn {
	tb.Helper()
	conn, err := net.Dial(network, address.String())
	if err != nil {
		tb.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// dialFrom is dial from an address of the client.
func dialFrom(tb testing.TB, source, network string, address netip.AddrPort) net.Conn {
	tb.Helper()
	dialer := net.Dialer{LocalAddr: &net.UDPAddr{IP: net.ParseIP(source)}}
	if network == "tcp" {
		dialer.LocalAddr = &net.TCPAddr{IP: net.ParseIP(source)}
	}
	conn, err := dialer.Dial(network, address.String())
	if err != nil {
		tb.Fatal(err)
	}
	conn.SetDeadline(time.Now().Add(patience))
	tb.Cleanup(func() { conn.Close() })
	return conn
}

// exchange sends a query and returns the reply.
func exchange(tb testing.TB, conn net.Conn, query []byte) []byte {
	tb.Helper()
	if conn.LocalAddr().Network() == "tcp" {
		if _, err := conn.Write(framed(query)); err != nil {
			tb.Fatal(err)
		}
		return readTCP(tb, conn)
	}
	if _, err := conn.Write(query); err != nil {
		tb.Fatal(err)
	}
	reply := make([]byte, maxMessage)
	n, err := conn.Read(reply)
	if err != nil {
		tb.Fatal(err)
	}
	return reply[:n]
}

// framed is a message as TCP carries it (RFC 1035 section 4.2.2).
func framed(message []byte) []byte {
	return append(binary.BigEndian.AppendUint16(nil, uint16(len(message))), message...)
}

func readTCP(tb testing.TB, conn net.Conn) []byte {
	tb.Helper()
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		tb.Fatal(err)
	}
	message := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, message); err != nil {
		tb.Fatal(err)
	}
	return message
}

// unpacked reads a reply.
func unpacked(tb testing.TB, reply []byte) *dns.Msg {
	tb.Helper()
	m := new(dns.Msg)
	if err := m.Unpack(reply); err != nil {
		tb.Fatalf("reply %x: %v", reply, err)
	}
	return m
}

// isClosed waits until the peer has closed the connection.
func isClosed(conn net.Conn) bool {
	n, err := conn.Read(make([]byte, 1))
	timeout, isNet := err.(net.Error)
	return n == 0 && err != nil && !(isNet && timeout.Timeout())
}

// first is the lowest address that the server listens on.
func first(s *Server) netip.AddrPort { return s.Addresses()[0] }

// await waits until a condition holds.
func await(tb testing.TB, what string, holds func() bool) {
	tb.Helper()
	for end := time.Now().Add(patience); !holds(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			tb.Fatalf("%s: not within %v", what, patience)
		}
	}
}
