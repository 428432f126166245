package server

import (
	"fmt"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/miekg/dns"

	"gtmd/server/wire"
)

// Transfers says which zones secondaries may have, and who they are. The zero value gives nothing to anybody. Immutable.
type Transfers struct {
	limit int
	keys  map[string]*Key       // by name in wire form
	zones map[string]*zoneRules // by name in wire form
}

// zoneRules are those of one zone.
type zoneRules struct {
	name      string // canonical
	networks  []netip.Prefix
	keys      map[string]bool // names
	notify    []netip.AddrPort
	notifyKey *Key
}

// NewTransfers compiles the options of zones; limit is the number of transfers at one time. Every key that they name must be there.
func NewTransfers(zones []ZoneOptions, keys []*Key, limit int) (*Transfers, error) {
	rules := &Transfers{limit: limit, keys: map[string]*Key{}, zones: map[string]*zoneRules{}}
	for _, key := range keys {
		rules.keys[key.name] = key
	}
	for i := range zones {
		o := &zones[i]
		if !o.IsExported() {
			continue
		}
		z := &zoneRules{name: o.Name, keys: map[string]bool{}}
		for _, network := range o.TransferTo {
			z.networks = append(z.networks, netip.Prefix(network))
		}
		for _, name := range o.TransferKeys {
			key := rules.key(wireName(name))
			if key == nil {
				return nil, fmt.Errorf("zone %s: there is no TSIG key %q", o.Name, name)
			}
			z.keys[key.text] = true
		}
		for _, peer := range o.Notify {
			z.notify = append(z.notify, netip.AddrPort(peer))
		}
		if o.NotifyKey != "" {
			if z.notifyKey = rules.key(wireName(o.NotifyKey)); z.notifyKey == nil {
				return nil, fmt.Errorf("zone %s: there is no TSIG key %q", o.Name, o.NotifyKey)
			}
		}
		rules.zones[wireName(o.Name)] = z
	}
	return rules, nil
}

// SetTransfers makes these the rules from now on. It is called with a view that has the zones.
func (s *Server) SetTransfers(rules *Transfers) {
	s.transfers.rules.Store(rules)
	var zones, telling []string
	for _, z := range rules.zones {
		if zones = append(zones, z.name); len(z.notify) > 0 {
			telling = append(telling, z.name)
		}
	}
	s.stats.transfers.expect(zones, "sent", "current", "refused", "busy", "failed")
	s.stats.notifies.expect(telling, "acknowledged", "refused", "unanswered")
	s.transfers.wake()
}

// key is the key of this name in wire form and lower case; nil: there is none.
func (rules *Transfers) key(name string) *Key { return rules.keys[name] }

// zoneOf are the rules of the zone that a question names; nil: there are none.
func (rules *Transfers) zoneOf(q *wire.Query) *zoneRules { return rules.zones[string(q.Name())] }

// refuses says why a client may not have the zone; empty: it may.
func (z *zoneRules) refuses(source netip.Addr, key string) string {
	switch {
	case len(z.networks) == 0 && len(z.keys) == 0:
		return "the zone has neither transfer_to nor transfer_keys"
	case len(z.networks) > 0 && !z.holds(source):
		return "the address is not in transfer_to"
	case len(z.keys) > 0 && key == "":
		return "the request is not signed, and transfer_keys is set"
	case len(z.keys) > 0 && !z.keys[key]:
		return "the key is not in transfer_keys"
	}
	return ""
}

func (z *zoneRules) holds(source netip.Addr) bool {
	for _, network := range z.networks {
		if network.Contains(source) {
			return true
		}
	}
	return false
}

// wireName is a name in wire form and lower case, as text; the root alone for one that is none.
func wireName(name string) string {
	packed := make([]byte, wire.MaxName+1)
	n, err := dns.PackDomainName(strings.ToLower(dns.Fqdn(name)), packed, 0, nil, false)
	if err != nil {
		return "\x00"
	}
	return string(packed[:n])
}

// logLimit lets one line through in a second. The zero value is ready; safe for concurrent use.
type logLimit struct{ last atomic.Int64 }

func (l *logLimit) allows(now time.Time) bool {
	before := l.last.Load()
	return now.Unix() != before && l.last.CompareAndSwap(before, now.Unix())
}
