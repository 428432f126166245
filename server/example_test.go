package server_test

import (
	"fmt"
	"log"
	"log/slog"
	"net/netip"
	"time"

	"github.com/miekg/dns"

	"gtmd/server"
	"gtmd/server/view"
)

// A server is given a view, then sockets; both can be replaced at any time.
func Example() {
	var records []dns.RR
	for _, text := range []string{"gtm.example. 3600 SOA ns1 host 1 7200 900 1209600 30", "www.gtm.example. 60 A 192.0.2.1"} {
		rr, err := dns.NewRR(text)
		if err != nil {
			log.Fatal(err)
		}
		records = append(records, rr)
	}
	v, err := view.Build(view.Input{Generation: 1, Zones: []view.Zone{{Name: "gtm.example.", Records: records}}})
	if err != nil {
		log.Fatal(err)
	}

	s := server.New(slog.New(slog.DiscardHandler), server.NewStats())
	if err := s.Swap(v); err != nil {
		log.Fatal(err)
	}
	change, err := s.Prepare(server.Options{
		Listen: []netip.AddrPort{netip.MustParseAddrPort("127.0.0.1:0")}, MaxUDPPayload: 1232,
		TCPIdleTimeout: time.Second, TCPMessageTimeout: time.Second, TCPConnections: 10, TCPConnectionsPerClient: 10,
	})
	if err != nil {
		log.Fatal(err)
	}
	change.Commit()
	defer s.Close()

	reply, err := dns.Exchange(new(dns.Msg).SetQuestion("www.gtm.example.", dns.TypeA), s.Addresses()[0].String())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(reply.Answer[0])
	// Output: www.gtm.example.	60	IN	A	192.0.2.1
}
