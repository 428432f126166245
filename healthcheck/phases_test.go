package healthcheck

import (
	"io"
	"net"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

func TestStopwatch(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		watch := startWatch()
		if got := watch.lap(); got != 1 {
			t.Errorf("a lap without time took %v", got)
		}
		time.Sleep(time.Second)
		middle := time.Now()
		time.Sleep(2 * time.Second)
		if got := watch.lapAt(middle); got != time.Second {
			t.Errorf("up to the middle: %v", got)
		}
		if got := watch.lapAt(time.Time{}); got != 2*time.Second {
			t.Errorf("from the middle on: %v", got)
		}
	})
}

func TestArrival(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		a := arrival{Reader: iotest.OneByteReader(strings.NewReader("ab"))}
		if n, err := a.Read(nil); n != 0 || err != nil || !a.at.IsZero() {
			t.Errorf("%d, %v, %v", n, err, a.at)
		}
		first := time.Now()
		for range 2 {
			a.Read(make([]byte, 1))
			time.Sleep(time.Second)
		}
		if !a.at.Equal(first) {
			t.Errorf("the first octet came %v late", a.at.Sub(first))
		}
	})
}

// TestPhases is which phases each kind of probe has.
func TestPhases(t *testing.T) {
	hello := origin(t, func(conn net.Conn) { io.WriteString(conn, "220 hello\r\n") })
	web := origin(t, says("HTTP/1.1 200 OK\r\n\r\nok"))
	for _, tt := range []struct {
		name string
		o    Options
		want string
	}{
		{name: "tcp", o: Options{Protocol: TCP}, want: "connect"},
		{name: "tcp, refused", o: Options{Protocol: TCP}, want: "connect"},
		{name: "tcp with an answer", o: Options{Protocol: TCP, Expect: "220"}, want: "connect first"},
		{name: "http", o: Options{Protocol: HTTP}, want: "connect first"},
		{name: "http with a body", o: Options{Protocol: HTTP, ExpectBody: "ok"}, want: "connect first body"},
		{name: "http with another status", o: Options{Protocol: HTTP, ExpectStatus: statusSet(t, "204"), ExpectBody: "ok"}, want: "connect first"},
	} {
		at := web
		switch {
		case strings.Contains(tt.name, "refused"):
			at = closedPort(t)
		case tt.o.Protocol == TCP:
			at = hello
		}
		report, _ := probe(t, t.Context(), tt.o, at, "")
		var got []string
		for _, p := range []struct {
			name string
			took time.Duration
		}{{"connect", report.Phases.Connect}, {"tls", report.Phases.TLS}, {"first", report.Phases.FirstByte}, {"body", report.Phases.Body}} {
			if p.took > 0 {
				got = append(got, p.name)
			}
		}
		if strings.Join(got, " ") != tt.want {
			t.Errorf("%s: %v, want %s", tt.name, got, tt.want)
		}
	}
}
