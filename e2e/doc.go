// Package e2e proves gtmd together with the programs that stand around it in earnest, all on loopback:
//
//	user -> unbound (business domain, CNAME to the CDN's name) -> nginx, an edge with the shipped configuration
//	     -> unbound (access domain) -> gtmd -> origins test1 and test2
//
// Everything is in tests with the build tag e2e:
//
//	go test -tags e2e ./e2e -v
//
// They need unbound, nginx, dig, kdig, fstrm_capture and curl; those of secondaries (secondary_test.go) need knotd, nsd and named. Where one is missing they are skipped, or fail when GTMD_E2E_REQUIRE is
// 1. Those with a network of their own (netns_test.go) need root, ip and nft, too: what they cut and lose is in network
// namespaces that they make and remove. lab_test.go has the chain, process_test.go its programs, origin_test.go,
// authority_test.go and user_test.go what the tests play themselves, failover_test.go gtmd with any number of services,
// atlas_test.go the databases of a made-up world.
//
// Some proofs take longer than a change has time for. The environment says how much of them to do:
//
//	GTMD_E2E_SWAP    seconds in which TestDatabaseSwap replaces databases (60)
//	GTMD_FAILOVERS   failovers of TestDetection (200)
//	GTMD_KILLS       kills of TestKills (100; 1000 for the whole proof)
//	GTMD_RELOADS     reloads of TestReloads, every sixth refused (60; 1200)
//	GTMD_FLOOD       seconds of each flood of TestFlood (3)
//	GTMD_PAUSE       seconds that TestPause stops gtmd for (8; 60)
//	GTMD_STORM       packets of TestStorm (1000000; 100000000)
//	GTMD_RESOLVER_QUESTIONS  questions that each resolver of TestResolvers gets (10000)
//	GTMD_DIFF_QUESTIONS, GTMD_DIFF_SEED  questions of TestDifferential (10000), and which zones they are about (1)
//	GTMD_BLIND_HOLD  seconds that TestBlind cuts gtmd off for, in each of its ways (3)
//	GTMD_E2E_SCREENSHOTS  directory for pictures of the dashboard's pages (none)
//	GTMD_TAKEOVERS, GTMD_HANGUP_SECONDS, GTMD_RESTARTS
//	                 take-overs of TestTakeOver (5; 20), seconds of TestHangups (6; 60), restarts of TestActivation (3; 20)
//	GTMD_TAKEOVER_RATE, GTMD_ACTIVATION_RATE
//	                 UDP queries a second meanwhile (5000; 50000), and over restarts (2000)
package e2e
