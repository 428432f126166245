package resolver_test

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/miekg/dns"

	"gtmd/resolver"
)

// One server, one name: from options to addresses.
func Example() {
	conn, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		fmt.Println(err)
		return
	}
	server := &dns.Server{PacketConn: conn, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, m *dns.Msg) {
		reply := new(dns.Msg).SetReply(m)
		reply.RecursionAvailable = true
		if m.Question[0].Qtype == dns.TypeA {
			rr, _ := dns.NewRR("www.example.net. 60 A 192.0.2.1")
			reply.Answer = append(reply.Answer, rr)
		}
		_ = w.WriteMsg(reply)
	})}
	started, done := make(chan struct{}), make(chan struct{})
	server.NotifyStartedFunc = func() { close(started) }
	go func() { defer close(done); _ = server.ActivateAndServe() }()
	<-started
	defer func() { _ = server.Shutdown(); <-done }()

	o := resolver.Options{Servers: []netip.AddrPort{conn.LocalAddr().(*net.UDPAddr).AddrPort()}}
	r, err := resolver.New(o, nil, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer r.Close()
	names := []string{"www.example.net."}
	r.Set(o, names)
	if err := r.Settled(context.Background(), names); err != nil {
		fmt.Println(err)
		return
	}
	for name, answer := range r.Answers() {
		fmt.Println(name, answer.IPv4, answer.IPv6)
	}
	// Output: www.example.net. [192.0.2.1] []
}

func ExampleOptions_Validate() {
	o := resolver.Options{Servers: []netip.AddrPort{netip.MustParseAddrPort("192.0.2.53:0")}}
	o.Validate(func(key, message string) { fmt.Printf("%s: %s\n", key, message) })
	// Output: servers: 192.0.2.53:0 has no port: most resolvers have 192.0.2.53:53
}
