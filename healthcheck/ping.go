package healthcheck

import (
	"context"
	"errors"
	"net/netip"
	"time"
)

// ping is the probe that sends echo requests, evenly over the first half of the timeout, and counts the replies.
// It ends as soon as all are sent and enough are answered, or else at the deadline. It reports the mean round-trip time
// of the replies.
func (c *Check) ping(ctx context.Context, address netip.Addr, report *Report) error {
	o := &c.options
	socket, err := c.prober.socket(address)
	if err != nil {
		return err
	}
	var (
		request  = socket.request(address, o.Size)
		replies  = make(chan time.Duration, o.Packets)
		keys     = make([]echoKey, 0, o.Packets)
		pace     = time.NewTicker(max(o.Timeout/time.Duration(2*o.Packets), 1))
		received int
		waited   time.Duration // For all replies together.
		unsent   unsent
	)
	defer func() { socket.forget(keys) }()
	defer pace.Stop()
	send := func() {
		key, err := socket.send(request, replies)
		keys = append(keys, key)
		if err != nil {
			unsent.add(err)
		}
	}
	send()
	for {
		all := len(keys) == o.Packets
		if all && !tooMany(o.Packets-received, o) {
			report.RTT = waited / time.Duration(max(received, 1))
			return nil
		}
		if all && received+unsent.all == o.Packets {
			break // Nothing is left to wait for.
		}
		tick := pace.C
		if all {
			tick = nil
		}
		select {
		case <-tick:
			send()
			continue
		case took := <-replies:
			received++
			waited += took
			continue
		case <-ctx.Done():
		}
		break
	}
	return pingReason(ctx, o, received, unsent)
}

// unsent are the packets of a ping that could not be sent.
type unsent struct {
	all, local int   // Local are those of all that a local fault kept back.
	failure    error // The last one.
	fault      error // The last one that was a local fault.
}

func (u *unsent) add(err error) {
	u.all, u.failure = u.all+1, err
	if localFault(err) != nil {
		u.local, u.fault = u.local+1, err
	}
}

// pingReason says why a ping is bad, or void: that is when it is bad for nothing but the packets that a local fault
// kept back.
func pingReason(ctx context.Context, o *Options, received int, unsent unsent) error {
	if errors.Is(ctx.Err(), context.Canceled) {
		return explain(ctx, ctx.Err(), awaitingAnswer, o.Timeout)
	}
	lost := o.Packets - received
	if unsent.local > 0 && !tooMany(lost-unsent.local, o) {
		return unable(unsent.fault, localFault(unsent.fault))
	}
	if unsent.all == o.Packets {
		return newReason(unsent.failure, "ping: sending: %s", bare(unsent.failure))
	}
	return newReason(ctx.Err(), "ping: lost %d of %d packets (%d%%), bad from %d%%", lost, o.Packets, lost*100/o.Packets, o.LossRate)
}

// tooMany reports whether so many lost packets make the probe bad.
func tooMany(lost int, o *Options) bool { return lost*100 >= o.LossRate*o.Packets }
