package server

import (
	"context"
	"crypto/hmac"
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/miekg/dns"

	"gtmd/server/view"
	"gtmd/server/wire"
)

// A NOTIFY that gets no reply is sent again after firstWait, then after twice as long each time, tries times in all: for about a
// minute. After that the secondary finds the change by itself, within the refresh time of the SOA record (RFC 1996 section 3.6).
const (
	firstWait = time.Second
	tries     = 6
)

// Notify tells the secondaries that the rules name of every zone that they may not have in its present form, at first of all of
// them, until ctx ends. It returns when all is at rest. A zone that changes while a secondary is told is told of as it is then.
func (s *Server) Notify(ctx context.Context) {
	n := &notifier{transfers: s.transfers, firstWait: firstWait, recipients: map[netip.AddrPort]*recipient{}}
	n.run(ctx)
}

// wake has the notifier look at the view and the rules; it never blocks.
func (t *transfers) wake() {
	select {
	case t.moved <- struct{}{}:
	default:
	}
}

// notifier keeps one recipient for each secondary.
type notifier struct {
	*transfers
	firstWait  time.Duration
	recipients map[netip.AddrPort]*recipient
	running    sync.WaitGroup
}

func (n *notifier) run(ctx context.Context) {
	defer n.running.Wait()
	for {
		n.reconcile(ctx)
		select {
		case <-ctx.Done():
			return
		case <-n.moved:
		}
	}
}

// reconcile starts recipients for secondaries that are new, ends those that are gone, and wakes all.
func (n *notifier) reconcile(ctx context.Context) {
	wanted := map[netip.AddrPort]bool{}
	for _, zone := range n.rules.Load().zones {
		for _, target := range zone.notify {
			wanted[target] = true
		}
	}
	for target, p := range n.recipients {
		if !wanted[target] {
			p.cancel()
			delete(n.recipients, target)
		}
	}
	for target := range wanted {
		p := n.recipients[target]
		if p == nil {
			p = &recipient{notifier: n, target: target, moved: make(chan struct{}, 1), told: map[string]uint32{}}
			var running context.Context
			running, p.cancel = context.WithCancel(ctx)
			n.recipients[target] = p
			n.running.Go(func() { p.run(running) })
		}
		select {
		case p.moved <- struct{}{}:
		default:
		}
	}
}

// recipient tells one secondary, of one zone after the other: one that is not there is waited for once, not for each zone.
type recipient struct {
	*notifier
	target netip.AddrPort
	cancel context.CancelFunc
	moved  chan struct{} // holds a token when there may be something to tell

	told map[string]uint32 // serial number by zone; also those that it was told of in vain
	// failures is how often in a row there was no reply; isFailing that the log says so.
	failures  int
	isFailing bool
}

func (p *recipient) run(ctx context.Context) {
	for {
		due := p.due()
		if len(due) == 0 {
			select {
			case <-ctx.Done():
				return
			case <-p.moved:
			}
			continue
		}
		e := due[0]
		rcode, err := p.tell(ctx, &e, p.firstWait<<p.failures)
		switch {
		case ctx.Err() != nil:
			return
		case err == nil:
			p.answered(&e, rcode)
		default:
			if p.failures++; p.failures == tries {
				p.giveUp(due, err)
			}
		}
	}
}

// due are the zones that the secondary is to be told of.
func (p *recipient) due() []view.Export {
	v, rules := p.view.Load(), p.rules.Load()
	if v == nil {
		return nil
	}
	var due []view.Export
	for _, e := range v.Exports() {
		zone := rules.zones[wireName(e.Zone)]
		if zone == nil || !zone.tells(p.target) {
			continue
		}
		if told, known := p.told[e.Zone]; !known || told != e.Serial {
			due = append(due, e)
		}
	}
	return due
}

func (z *zoneRules) tells(target netip.AddrPort) bool {
	for _, t := range z.notify {
		if t == target {
			return true
		}
	}
	return false
}

// answered takes a reply for the end of the matter, whatever it says (RFC 1996 section 3.12).
func (p *recipient) answered(e *view.Export, rcode int) {
	p.told[e.Zone], p.failures = e.Serial, 0
	if rcode == dns.RcodeSuccess {
		p.stats.notifies.add(e.Zone, "acknowledged")
		if p.isFailing {
			p.log.Info("secondary answers again", "secondary", p.target, "zone", e.Zone)
		}
		p.isFailing = false
		p.log.Debug("secondary told of a change", "secondary", p.target, "zone", e.Zone, "serial", e.Serial)
		return
	}
	p.stats.notifies.add(e.Zone, "refused")
	p.fail("secondary refuses to be told of changes", e, "rcode", dns.RcodeToString[rcode])
}

// giveUp leaves it to the secondary to find the changes.
func (p *recipient) giveUp(due []view.Export, err error) {
	p.failures = 0
	for i := range due {
		p.told[due[i].Zone] = due[i].Serial
		p.stats.notifies.add(due[i].Zone, "unanswered")
	}
	p.fail("secondary cannot be told of changes", &due[0], "error", err, "tries", tries)
}

// fail logs the first of several failures in a row.
func (p *recipient) fail(message string, e *view.Export, fields ...any) {
	if !p.isFailing {
		p.log.Warn(message, append([]any{"secondary", p.target, "zone", e.Zone, "serial", e.Serial}, fields...)...)
	}
	p.isFailing = true
}

// tell sends one NOTIFY (RFC 1996 section 3) and waits for the reply. When there is none, it returns after the wait, not before.
func (p *recipient) tell(ctx context.Context, e *view.Export, wait time.Duration) (rcode int, err error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	if rcode, err = p.exchange(ctx, e); err != nil {
		<-ctx.Done()
	}
	return rcode, err
}

// exchange is tell, and returns at the first error.
func (p *recipient) exchange(ctx context.Context, e *view.Export) (rcode int, err error) {
	m := new(dns.Msg).SetNotify(e.Zone)
	m.Answer = []dns.RR{e.SOA()}
	request, err := m.Pack()
	if err != nil {
		return 0, fmt.Errorf("make a NOTIFY for %s: %w", e.Zone, err)
	}
	var key *Key
	var mac []byte
	if zone := p.rules.Load().zones[wireName(e.Zone)]; zone != nil && zone.notifyKey != nil {
		key = zone.notifyKey
		request, mac = key.signRequest(request, p.now())
	}
	conn, err := (&net.Dialer{}).DialContext(ctx, "udp", p.target.String())
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.SetDeadline(time.Unix(1, 0)) })()
	if _, err := conn.Write(request); err != nil {
		return 0, err
	}
	buffer := make([]byte, packetLen)
	for {
		n, err := conn.Read(buffer)
		switch {
		case ctx.Err() != nil:
			return 0, errors.New("no reply")
		case err != nil:
			return 0, err
		}
		reply := buffer[:n]
		if n < wire.HeaderLen || reply[0] != request[0] || reply[1] != request[1] || reply[2]&0xf8 != 0x80|dns.OpcodeNotify<<3 {
			continue
		}
		rcode := int(reply[3] & 15)
		if key != nil && rcode == dns.RcodeSuccess && !key.hasSigned(reply, mac) {
			continue
		}
		return rcode, nil
	}
}

// signRequest signs a message that is no reply (RFC 8945 section 5.1) and returns its MAC, too.
func (k *Key) signRequest(message []byte, now time.Time) (signed, mac []byte) {
	t := wire.TSIG{Key: []byte(k.name), Algorithm: []byte(k.algorithm), Time: uint64(now.Unix()), Fudge: fudge, OriginalID: binary.BigEndian.Uint16(message)}
	t.MAC = k.mac(message, t.Variables(nil))
	return t.AppendTo(message, 0), t.MAC
}

// hasSigned reports whether a reply to a request with this MAC is signed with the key. Its time does not matter: the MAC of the
// request is in it.
func (k *Key) hasSigned(reply, mac []byte) bool {
	t, ok := wire.SignatureOf(reply)
	if !ok || t == nil || string(t.Key) != k.name || string(t.Algorithm) != k.algorithm {
		return false
	}
	before := binary.BigEndian.AppendUint16(nil, uint16(len(mac)))
	return hmac.Equal(k.mac(before, mac, signedPart(reply, t), t.Variables(nil)), t.MAC)
}
