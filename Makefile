# The two commands that matter: "make run" starts gtmd doing its main job, "make test" proves it.

GO      ?= go
# The bundled release number; the revision is read from the build's VCS stamp.
RELEASE ?= 0.1.0-dev
FLAGS   := -trimpath -ldflags "-s -w -X main.release=$(RELEASE)"
# Seconds for each fuzz target.
FUZZTIME ?= 10s

.PHONY: run build test race cover e2e bench bench-peers bench-probes fuzz lint check docs clean

## run: start the demo: a whole set-up on this machine, without root and without network
run: build
	./bin/gtmd demo

## build: bin/gtmd
build:
	CGO_ENABLED=0 $(GO) build $(FLAGS) -o bin/gtmd ./cmd/gtmd

## test: every test that needs only Go
test:
	$(GO) test ./...

## race: the same under the race detector, and the server over its portable sockets
race:
	$(GO) test -race ./...
	$(GO) test -race -tags portable ./server/...

## cover: statements covered, by package
cover:
	$(GO) test -coverprofile=coverage.out ./... && $(GO) tool cover -func=coverage.out | tail -n 1

## e2e: edge, resolver, gtmd and origins together, real programs on loopback (needs unbound, nginx, dig, kdig)
e2e: build
	$(GO) test -tags e2e -count=1 -v ./e2e

## bench: the benchmarks of the hot path and of what is built for it
bench:
	$(GO) test -run '^$$' -bench . -benchmem ./server/... ./geo ./policy

## bench-peers: CPU per query beside gdnsd and knot on loopback (root, Debian; see docs/performance.md)
bench-peers: build
	bench/peers.sh

## bench-probes: CPU per health probe beside HAProxy, gdnsd and net/http on loopback (root, Debian; see docs/performance.md)
bench-probes: build
	bench/probes.sh $(PROBES)

## fuzz: every fuzz target for FUZZTIME
fuzz:
	.ci/fuzz $(FUZZTIME)

## lint: formatting, vet, staticcheck, and that it builds where UDP is that of package net
lint:
	@unformatted=$$(gofmt -s -l .); [ -z "$$unformatted" ] || { echo "gofmt -s would change:"; echo "$$unformatted"; exit 1; }
	$(GO) vet ./...
	$(GO) vet -tags e2e ./e2e
	$(GO) vet -tags portable ./server/...
	CGO_ENABLED=0 GOOS=freebsd $(GO) build -o /dev/null ./cmd/gtmd
	$(GO) tool -modfile=tools.mod staticcheck ./...

## check: what a change must pass before it is shown to anyone
check: lint test

## docs: write what is generated: the option reference, the list of metrics
docs:
	$(GO) test ./config -run TestReference -update
	$(GO) test ./node -run TestMetricsList -update

clean:
	rm -rf bin coverage.out
