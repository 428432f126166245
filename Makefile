# The two commands that matter: "make run" starts gtmd doing its main job, "make test" proves it.

GO      ?= go
# The bundled release number; the revision is read from the build's VCS stamp.
RELEASE ?= 0.1.0-dev
FLAGS   := -trimpath -ldflags "-s -w -X main.release=$(RELEASE)"
# Seconds for each fuzz target.
FUZZTIME ?= 10s

.PHONY: man run build test race cover e2e screenshots bench bench-peers bench-probes fuzz lint check docs clean

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
	$(GO) test -race -timeout 20m ./...
	$(GO) test -race -tags portable ./server/...

## cover: statements covered, by package
cover:
	$(GO) test -coverprofile=coverage.out ./... && $(GO) tool cover -func=coverage.out | tail -n 1

## e2e: edge, resolver, gtmd and origins together, real programs on loopback (needs unbound, nginx, dig, kdig)
e2e: build
	$(GO) test -tags e2e -count=1 -timeout 25m -v ./e2e

## screenshots: the pictures of docs/dashboard.md (needs what e2e does, and pngquant and optipng)
screenshots:
	@dir=$$(mktemp -d) && trap 'rm -rf "$$dir"' EXIT && \
	GTMD_E2E_REQUIRE=1 GTMD_E2E_SCREENSHOTS=$$dir $(GO) test -tags e2e -count=1 ./e2e -run 'TestDashboardTour$$' && \
	for file in $$dir/docs-*.png; do \
		to=docs/images/$${file##*/docs-} && pngquant --quality 70-95 --speed 1 --strip --force --output $$to $$file && optipng -quiet -o2 $$to || exit 1; \
	done

## man: the man pages, into bin/man
man: build
	rm -rf bin/man
	./bin/gtmd docs man bin/man --options docs/options.md

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

## docs: write what is generated: the option reference, the list of metrics, the Grafana dashboard, the commands
docs:
	$(GO) test ./config -run TestReference -update
	$(GO) test ./node -run TestMetricNames -update
	$(GO) test ./deploy/grafana -run TestDashboard -update
	$(GO) test ./cmd/gtmd -run TestCommandReference -update

clean:
	rm -rf bin coverage.out
