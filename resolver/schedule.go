package resolver

import (
	"math/rand/v2"
	"time"
)

const (
	// maxBackoff is the longest time from a failed resolution to the next, unless max_ttl is shorter or retry longer.
	maxBackoff = time.Minute
	// settling is the time over which names are spread that are resolved again for a reason that they share.
	settling = time.Second
)

// soon returns a random time within a second.
func soon() time.Duration { return rand.N(settling) }

// pause returns the time from a resolution to the next. Ttl is that of the addresses found, and counts when the
// resolution was good, or partly so; below zero there are none. Failures is the number of resolutions in a row that
// failed in any family; zero: it was good.
func pause(o *Options, ttl time.Duration, failures int) time.Duration {
	var retry time.Duration
	if failures > 0 {
		longest := max(o.Retry, min(maxBackoff, o.MaxTTL))
		retry = o.Retry
		for range min(failures-1, 16) {
			retry = min(2*retry, longest)
		}
		retry = spread(retry, o.Retry, longest)
	}
	if ttl < 0 {
		return retry
	}
	fresh := spread(min(max(ttl, o.MinTTL), o.MaxTTL), o.MinTTL, o.MaxTTL)
	if failures == 0 {
		return fresh
	}
	return min(fresh, retry)
}

// spread returns a random time from d to a tenth later, or to a tenth earlier when that is beyond longest; in any case
// within the bounds. Names that once met do not meet again, and the cache of the server has mostly run out.
func spread(d, shortest, longest time.Duration) time.Duration {
	tenth := d / 10
	from, to := d, min(d+tenth, longest)
	if to < d+tenth {
		from = min(d, max(to-tenth, shortest))
	}
	if to <= from {
		return from
	}
	return from + rand.N(to-from+1)
}

// ttl returns the shorter TTL of the replies that have addresses, or -1 when none has. A family without addresses has no
// say: it is asked for along with the other.
func ttl(v4, v6 reply) time.Duration {
	shortest := time.Duration(-1)
	for _, r := range []reply{v4, v6} {
		if len(r.addrs) > 0 && (shortest < 0 || r.ttl < shortest) {
			shortest = r.ttl
		}
	}
	return shortest
}
