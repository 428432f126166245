package querylog

import (
	"bytes"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"
)

// collector sends dnstap to whoever listens on a unix socket. While nobody does, entries are dropped, and it tries again
// and again.
type collector struct {
	log     *slog.Logger
	socket  string
	stopped <-chan struct{}
	writer  messageWriter

	conn  net.Conn      // nil: not connected
	retry time.Time     // no earlier is it tried again
	pause time.Duration // until the try after that
	away  bool          // and the log knows

	buffer  []byte
	entries int
}

// The pauses between two tries to connect.
const (
	firstPause = 100 * time.Millisecond
	maxPause   = 5 * time.Second
)

// dnstapSetting is what of a setting concerns dnstap.
func dnstapSetting(s Setting) Setting { return Setting{Dnstap: s.Dnstap, Payload: s.Payload} }

// newDnstapTap returns a tap that sends to the collector of a setting.
func (l *Log) newDnstapTap(s Setting) *Tap {
	o := s.Dnstap
	if o.Identity == "" {
		o.Identity, _ = os.Hostname() // nothing, when it has none
	}
	c := &collector{log: l.log.With("socket", o.Socket), socket: o.Socket, writer: newMessageWriter(o)}
	t := newTap(Tap{
		name: "dnstap stream", setting: dnstapSetting(s), log: c.log, count: &l.counters.Dnstap, sink: c,
		wantsQuery: o.Messages != ResponseMessages,
	}, o.Sample, o.Buffer, s.Payload+spareOctets)
	c.stopped = t.stopping
	return t
}

// tend connects, when it is time to.
func (c *collector) tend(now time.Time) {
	if c.conn == nil && !now.Before(c.retry) {
		c.connect()
	}
}

func (c *collector) add(s *slot) {
	if c.conn == nil {
		c.entries++ // for flush to count as lost
		return
	}
	c.buffer = c.writer.appendFrames(c.buffer, s)
	c.entries++
}

func (c *collector) pending() (octets, entries int) { return len(c.buffer), c.entries }

// flush sends what there is. A collector that has gone and come again, as at its restart, gets it all.
func (c *collector) flush() (written int, err error) {
	entries := c.entries
	defer func() { c.buffer, c.entries = c.buffer[:0], 0 }()
	if c.conn == nil || len(c.buffer) == 0 {
		return 0, errAway
	}
	n, err := c.send()
	if err == nil {
		return entries, nil
	}
	c.lose("send to the dnstap collector", err)
	if n > 0 || c.isStopping() || !c.connect() {
		return 0, err
	}
	if _, err = c.send(); err != nil {
		c.lose("send to the dnstap collector", err)
		return 0, err
	}
	return entries, nil
}

// errAway is that no collector is connected.
var errAway = fmt.Errorf("no collector is connected")

func (c *collector) send() (int, error) {
	c.conn.SetDeadline(time.Now().Add(stepTime))
	n, err := c.conn.Write(c.buffer)
	if err == nil {
		c.pause = 0
	}
	return n, err
}

// connect connects and shakes hands. It reports whether there is a connection then.
func (c *collector) connect() bool {
	conn, err := net.DialTimeout("unix", c.socket, stepTime)
	if err == nil {
		conn.SetDeadline(time.Now().Add(stepTime))
		if err = greet(conn); err != nil {
			conn.Close()
		}
	}
	if err != nil {
		c.lose("connect to the dnstap collector", err)
		return false
	}
	c.conn, c.away = conn, false
	c.log.Info("connected to the dnstap collector")
	return true
}

// lose ends the connection, if there is one, and tells the log unless it knows.
func (c *collector) lose(what string, err error) {
	if c.conn != nil {
		c.conn.Close()
		c.conn = nil
	}
	c.pause = min(max(2*c.pause, firstPause), maxPause)
	c.retry = time.Now().Add(c.pause)
	if !c.away {
		c.away = true
		c.log.Warn(what, "error", err)
	}
}

func (c *collector) isStopping() bool {
	select {
	case <-c.stopped:
		return true
	default:
		return false
	}
}

// close says farewell: the collector has everything then.
func (c *collector) close() {
	if c.conn == nil {
		return
	}
	c.conn.SetDeadline(time.Now().Add(stepTime))
	if err := bid(c.conn); err != nil {
		c.log.Warn("end the connection to the dnstap collector", "error", err)
	}
	c.conn.Close()
	c.conn = nil
}

// greet opens a stream of dnstap in both directions: READY, ACCEPT, START.
func greet(conn net.Conn) error {
	if _, err := conn.Write(appendControl(nil, controlReady, contentType)); err != nil {
		return err
	}
	types, err := readControl(conn, controlAccept)
	if err != nil {
		return err
	}
	accepted := len(types) == 0
	for _, t := range types {
		accepted = accepted || bytes.Equal(t, []byte(contentType))
	}
	if !accepted {
		return fmt.Errorf("the collector takes %q, not %q", types, contentType)
	}
	_, err = conn.Write(appendControl(nil, controlStart, contentType))
	return err
}

// bid ends it: STOP, FINISH.
func bid(conn net.Conn) error {
	if _, err := conn.Write(appendControl(nil, controlStop, "")); err != nil {
		return err
	}
	_, err := readControl(conn, controlFinish)
	return err
}
