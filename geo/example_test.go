package geo_test

import (
	"fmt"
	"net/netip"

	"gtmd/geo"
)

// offices are custom lines, one inside the other.
func offices() []geo.LineOptions {
	return []geo.LineOptions{
		{Name: "company", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")}},
		{Name: "office", Prefixes: []netip.Prefix{netip.MustParsePrefix("10.1.0.0/16")}},
	}
}

func ExampleCompile() {
	m, err := geo.Compile(geo.Input{Lines: offices()})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, match := range m.Matches(netip.MustParseAddr("10.1.2.3")) {
		fmt.Println(match.Selector, match.Prefix)
	}
	// Output:
	// office 10.1.0.0/16
	// company 10.0.0.0/8
	// global 0.0.0.0/0
}

func ExampleMap_Plan() {
	lines := offices()
	m, err := geo.Compile(geo.Input{Lines: lines})
	if err != nil {
		fmt.Println(err)
		return
	}
	office, err := geo.ParseSelector("office", lines, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	company, err := geo.ParseSelector("company", lines, nil)
	if err != nil {
		fmt.Println(err)
		return
	}
	plan := m.Plan(m.Assign([][]geo.Selector{{geo.Global}, {company}, {office}}))
	for _, text := range []string{"10.1.2.3", "10.2.3.4", "192.0.2.1", "2001:db8::1"} {
		policy, scope := plan.Lookup(netip.MustParseAddr(text))
		fmt.Printf("%s: policy %d, scope %d\n", text, policy, scope)
	}
	// Output:
	// 10.1.2.3: policy 2, scope 16
	// 10.2.3.4: policy 1, scope 15
	// 192.0.2.1: policy 0, scope 1
	// 2001:db8::1: policy 0, scope 21
}
