// Package e2e proves gtmd together with the programs that stand around it in earnest, all on loopback:
//
//	user -> unbound (business domain, CNAME to the CDN's name) -> nginx, an edge with the shipped configuration
//	     -> unbound (access domain) -> gtmd -> origins test1 and test2
//
// Everything is in tests with the build tag e2e:
//
//	go test -tags e2e ./e2e -v
//
// They need unbound, nginx, dig, kdig and curl. Where one is missing they are skipped, or fail when GTMD_E2E_REQUIRE is
// 1. lab_test.go has the chain, process_test.go its programs, origin_test.go, authority_test.go and user_test.go what the
// tests play themselves, atlas_test.go the databases of a made-up world. TestDatabaseSwap takes GTMD_E2E_SWAP seconds,
// 60 unless told.
package e2e
