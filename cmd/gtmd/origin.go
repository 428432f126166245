package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"time"
)

// origins are the web servers of the demo, which can be stopped and started while it runs.
type origins struct {
	control *http.Server
	done    sync.WaitGroup

	mu      sync.Mutex // guards servers
	servers map[string]*origin
}

// origin is one web server; http is nil while it is stopped.
type origin struct {
	address string
	http    *http.Server
}

// startOrigins starts all origins and takes orders on a unix socket.
func startOrigins(socket string) (*origins, error) {
	o := &origins{servers: map[string]*origin{
		"test1": {address: "127.0.0.2:8080"},
		"test2": {address: "127.0.0.3:8080"},
	}}
	for pool := range o.servers {
		if _, err := o.start(pool); err != nil {
			o.Close()
			return nil, err
		}
	}
	l, err := net.Listen("unix", socket)
	if err != nil {
		o.Close()
		return nil, fmt.Errorf("take orders for the origins: %w", err)
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /stop/{pool}", func(w http.ResponseWriter, r *http.Request) { order(w, r, o.stop) })
	mux.HandleFunc("POST /start/{pool}", func(w http.ResponseWriter, r *http.Request) { order(w, r, o.start) })
	o.control = &http.Server{Handler: mux, ReadHeaderTimeout: 5 * time.Second}
	o.done.Go(func() { o.control.Serve(l) })
	return o, nil
}

// order carries out an order for a pool and replies in JSON.
func order(w http.ResponseWriter, r *http.Request, work func(pool string) (string, error)) {
	text, err := work(r.PathValue("pool"))
	if err != nil {
		w.WriteHeader(http.StatusUnprocessableEntity)
		printJSON(w, map[string]string{"error": err.Error()})
		return
	}
	printJSON(w, text)
}

func (o *origins) start(pool string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	origin := o.servers[pool]
	switch {
	case origin == nil:
		return "", fmt.Errorf("there is no pool %q: test1 or test2", pool)
	case origin.http != nil:
		return "", fmt.Errorf("the origin of %s runs already", pool)
	}
	l, err := net.Listen("tcp", origin.address)
	if err != nil {
		return "", fmt.Errorf("start the origin of %s: %w", pool, err)
	}
	server := &http.Server{
		ReadHeaderTimeout: 5 * time.Second,
		Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
			fmt.Fprintf(w, "hello from %s, %s\n", pool, origin.address)
		}),
	}
	origin.http = server
	o.done.Go(func() { server.Serve(l) })
	return fmt.Sprintf("the origin of %s (%s) runs", pool, origin.address), nil
}

func (o *origins) stop(pool string) (string, error) {
	o.mu.Lock()
	defer o.mu.Unlock()
	origin := o.servers[pool]
	switch {
	case origin == nil:
		return "", fmt.Errorf("there is no pool %q: test1 or test2", pool)
	case origin.http == nil:
		return "", fmt.Errorf("the origin of %s is stopped already", pool)
	}
	err := origin.http.Close()
	origin.http = nil
	return fmt.Sprintf("the origin of %s (%s) is stopped", pool, origin.address), err
}

// Close stops everything.
func (o *origins) Close() error {
	var errs []error
	if o.control != nil {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		errs = append(errs, o.control.Shutdown(ctx))
	}
	o.mu.Lock()
	for _, origin := range o.servers {
		if origin.http != nil {
			errs = append(errs, origin.http.Close())
		}
	}
	o.mu.Unlock()
	o.done.Wait()
	return errors.Join(errs...)
}
