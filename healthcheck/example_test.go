package healthcheck_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"time"

	"gtmd/healthcheck"
)

// One check, one address, one engine: from options to a verdict.
func Example() {
	origin := httptest.NewServer(http.NotFoundHandler())
	defer origin.Close()
	at := netip.MustParseAddrPort(strings.TrimPrefix(origin.URL, "http://"))

	prober := healthcheck.NewProber()
	defer prober.Close()
	check, err := prober.Compile(healthcheck.Options{Name: "web", Protocol: healthcheck.HTTP, Port: int(at.Port())})
	if err != nil {
		fmt.Println(err)
		return
	}
	engine, err := healthcheck.NewEngine(healthcheck.EngineOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()

	engine.Set([]healthcheck.Target{check.Target(at.Addr(), "www.example.com")})
	<-engine.Settled()
	for id, target := range engine.Status().All() {
		fmt.Println(id, target.Verdict)
	}
	// Output: 127.0.0.1/web/www.example.com up
}

// A probe can be any function.
func ExampleEngine_Set() {
	engine, err := healthcheck.NewEngine(healthcheck.EngineOptions{})
	if err != nil {
		fmt.Println(err)
		return
	}
	defer engine.Close()
	engine.Set([]healthcheck.Target{{
		ID: "queue",
		Probe: func(context.Context, *healthcheck.Report) error {
			return errors.New("12 jobs waiting, wanted at most 10")
		},
		Interval: 50 * time.Millisecond,
		Fall:     2,
	}})
	<-engine.Settled()
	target := engine.Status().Of("queue")
	fmt.Printf("%s: %s\n", target.Verdict, target.Reason)
	// Output: down: 12 jobs waiting, wanted at most 10
}

func ExampleProber_Compile() {
	prober := healthcheck.NewProber()
	defer prober.Close()
	_, err := prober.Compile(healthcheck.Options{Name: "mail", Protocol: healthcheck.TCP, CAFile: "ca.pem"})
	fmt.Println(strings.Split(err.Error(), "\n")[0])
	// Output: health check "mail": port: tcp has no port of its own: set the one to connect to, such as 443
}

func ExampleOptions_Validate() {
	o := healthcheck.Options{Protocol: healthcheck.HTTP, Path: "status", Interval: 2 * time.Second}
	o.Validate(func(key, message string) { fmt.Printf("%s: %s\n", key, message) })
	// Output:
	// timeout: 5s is longer than the interval of 2s: make it at most that
	// path: "status" does not start with "/": write "/status"
}

func ExampleStatusSet() {
	var good healthcheck.StatusSet
	if err := good.UnmarshalText([]byte("204, 300-399, 200")); err != nil {
		fmt.Println(err)
	}
	fmt.Println(good, good.Contains(301), good.Contains(404))
	// Output: 200,204,300-399 true false
}
