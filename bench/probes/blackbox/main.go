// Command blackbox probes many addresses with net/http the way that blackbox_exporter does: a transport of its own for each
// probe, without keep-alive, traced, the body read to its end. It has no other work: no metrics, no scrape. It is what
// the benchmark of probes holds gtmd against.
//
// SIGUSR1 has it print its counts as a line of JSON.
package main

import (
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/cookiejar"
	"net/http/httptrace"
	"os"
	"os/signal"
	"runtime"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"
)

// prober is what all probes share.
type prober struct {
	kind     string
	port     int
	interval time.Duration
	timeout  time.Duration
	slots    chan struct{} // holds a token for each running probe, as many as gtmd has at most

	good, bad atomic.Uint64
}

func main() {
	p := &prober{}
	flag.StringVar(&p.kind, "kind", "http", "http or tcp")
	flag.IntVar(&p.port, "port", 8080, "port to connect to")
	flag.DurationVar(&p.interval, "interval", 10*time.Second, "time from one probe of an address to the next")
	flag.DurationVar(&p.timeout, "timeout", 5*time.Second, "time that a probe may take")
	count := flag.Int("targets", 1000, "addresses to probe, from 127.1.0.0 on")
	flag.Parse()
	p.slots = make(chan struct{}, 4096)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, syscall.SIGUSR1)
	for i := range *count {
		address := fmt.Sprintf("127.%d.%d.%d", 1+i>>16, i>>8&255, i&255)
		go p.watch(ctx, net.JoinHostPort(address, strconv.Itoa(p.port)), p.interval*time.Duration(i)/time.Duration(*count))
	}
	for {
		select {
		case <-ctx.Done():
			return
		case <-asked:
			json.NewEncoder(os.Stdout).Encode(map[string]uint64{
				"good": p.good.Load(), "bad": p.bad.Load(), "goroutines": uint64(runtime.NumGoroutine()),
			})
		}
	}
}

// watch probes one address in every interval, first after offset. A probe that is late by more than an interval is left out.
func (p *prober) watch(ctx context.Context, address string, offset time.Duration) {
	time.Sleep(offset)
	ticker := time.NewTicker(p.interval)
	defer ticker.Stop()
	for {
		p.slots <- struct{}{}
		err := p.probe(ctx, address)
		<-p.slots
		if err != nil {
			p.bad.Add(1)
		} else {
			p.good.Add(1)
		}
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
	}
}

func (p *prober) probe(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, p.timeout)
	defer cancel()
	if p.kind == "tcp" {
		var dialer net.Dialer
		conn, err := dialer.DialContext(ctx, "tcp", address)
		if err != nil {
			return err
		}
		return conn.Close()
	}
	return get(ctx, "http://"+address+"/")
}

// phases are the moments that blackbox_exporter keeps of an exchange.
type phases struct {
	start, connectDone, gotConn, firstByte, end time.Time
}

func get(ctx context.Context, url string) error {
	jar, err := cookiejar.New(nil)
	if err != nil {
		return err
	}
	transport := &http.Transport{DisableKeepAlives: true, DisableCompression: true, DialContext: (&net.Dialer{}).DialContext}
	client := &http.Client{Transport: transport, Jar: jar}
	request, err := http.NewRequest(http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	var at phases
	trace := &httptrace.ClientTrace{
		ConnectStart:         func(string, string) { at.start = time.Now() },
		ConnectDone:          func(string, string, error) { at.connectDone = time.Now() },
		GotConn:              func(httptrace.GotConnInfo) { at.gotConn = time.Now() },
		GotFirstResponseByte: func() { at.firstByte = time.Now() },
	}
	request = request.WithContext(httptrace.WithClientTrace(ctx, trace))
	request.Host = "bench.test"
	request.Header.Set("User-Agent", "Blackbox-style")
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	_, err = io.Copy(io.Discard, response.Body)
	response.Body.Close()
	at.end = time.Now()
	if err == nil && response.StatusCode/100 != 2 {
		err = fmt.Errorf("HTTP %d", response.StatusCode)
	}
	return err
}
