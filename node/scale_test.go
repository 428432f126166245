package node

import (
	"fmt"
	"runtime"
	"strings"
	"testing"

	"gtmd/policy"
)

// wide is a configuration of so many instances, each with pools of its own.
func wide(instances int) string {
	var b strings.Builder
	b.WriteString("[[zone]]\nname = \"gtm.test\"\nnameservers = [\"ns.example.net\"]\ncontact = \"hostmaster@gtm.test\"\n")
	b.WriteString("[[geo.line]]\nname = \"office\"\nprefixes = [\"198.51.100.0/24\"]\n[[health_check]]\nname = \"web\"\nprotocol = \"http\"\n")
	for i := range instances {
		check := ""
		if i == 0 {
			check = "health_check = \"web\"\n"
		}
		fmt.Fprintf(&b, "[[pool]]\nname = \"a%d\"\ntype = \"ipv4\"\n%saddresses = [\"10.1.%d.%d\"]\n", i, check, i>>8, i&255)
		fmt.Fprintf(&b, "[[pool]]\nname = \"b%d\"\ntype = \"ipv4\"\naddresses = [\"10.2.%d.%d\"]\n", i, i>>8, i&255)
		fmt.Fprintf(&b, "[[instance]]\nname = \"i%d\"\naccess_domain = \"i%d.gtm.test\"\n", i, i)
		fmt.Fprintf(&b, "[[instance.policy]]\nname = \"Office\"\nsources = [\"office\"]\nprimary = { pools = [\"b%d\"] }\nbackup = { pools = [\"a%d\"] }\n", i, i)
		fmt.Fprintf(&b, "[[instance.policy]]\nname = \"Global\"\nsources = [\"global\"]\nprimary = { pools = [\"a%d\"] }\nbackup = { pools = [\"b%d\"] }\n", i, i)
	}
	return b.String()
}

// The work for an instance, in allocations, does not depend on how many there are; a change of health costs what it changes.
func TestWorldScales(t *testing.T) {
	counted := func(do func()) float64 {
		var before, after runtime.MemStats
		runtime.ReadMemStats(&before)
		do()
		runtime.ReadMemStats(&after)
		return float64(after.Mallocs - before.Mallocs)
	}
	measure := func(instances int) (build, change float64) {
		text := wide(instances)
		var w *world
		whole := counted(func() { w = worldOf(t, text, nil, at(0)) })
		var next *world
		change = counted(func() { next = w.next(statusOf("10.1.0.0-"), nil, at(1)) })
		s := slot{Instance: 0, Policy: 1, Family: policy.IPv4}
		check(t, "in force", roleOf(next.decision(s)), "backup")
		return whole / float64(instances), change
	}
	fewBuild, fewChange := measure(1_000)
	manyBuild, manyChange := measure(10_000)
	t.Logf("allocations for an instance: %.0f of 1,000 and %.0f of 10,000; for a change of health: %.0f and %.0f", fewBuild, manyBuild, fewChange, manyChange)
	if manyBuild > 1.2*fewBuild {
		t.Errorf("an instance takes %.0f allocations among 10,000, and %.0f among 1,000", manyBuild, fewBuild)
	}
	if most := 500.; manyChange > most {
		t.Errorf("a change of health takes %.0f allocations among 10,000 instances, want at most %.0f", manyChange, most)
	}
}
