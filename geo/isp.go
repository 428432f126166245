package geo

import (
	_ "embed"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
)

// A provider is an Internet service provider: the networks of its clients are known by their autonomous systems, or by the
// name that an ISP database gives them.
type provider struct {
	code   string // what isp: takes
	name   string // English
	nameZH string // Chinese
	asns   map[uint32]struct{}
	names  []string // in ISP databases, compared without regard to case
}

// hasNetworks reports whether anything is known by which a client could be one of the provider.
func (p *provider) hasNetworks() bool { return len(p.asns) > 0 || len(p.names) > 0 }

// ispsTSV says in its head where its data is from.
//
//go:embed data/isps.tsv
var ispsTSV string

// knownProviders are those that gtmd knows, the biggest first, as Alibaba lists them. The list is never changed.
var knownProviders = sync.OnceValue(func() []*provider {
	var list []*provider
	for f := range tableRows(ispsTSV) {
		p := &provider{code: f[0], name: f[1], nameZH: f[2], asns: make(map[uint32]struct{})}
		for _, text := range strings.Fields(f[3]) {
			low, high, isRange := strings.Cut(text, "-")
			if !isRange {
				high = low
			}
			first, _ := strconv.ParseUint(low, 10, 32)
			last, _ := strconv.ParseUint(high, 10, 32)
			for n := first; n <= last; n++ {
				p.asns[uint32(n)] = struct{}{}
			}
		}
		if f[4] != "" {
			p.names = strings.Split(f[4], "|")
		}
		list = append(list, p)
	}
	return list
})

// knownProvider returns nil when gtmd does not know a provider of this code.
func knownProvider(code string) *provider {
	for _, p := range knownProviders() {
		if p.code == code {
			return p
		}
	}
	return nil
}

// ispTable tells which providers a network belongs to; it may belong to several. The zero table knows none. It is immutable
// and safe for concurrent use.
type ispTable struct {
	byCode map[string]*provider
}

// newISPTable is the table that gtmd knows with what the configuration adds to it or puts in its place. The error joins
// (see [errors.Join]) everything that is wrong with the options; the table then holds what is right in them.
func newISPTable(options []ISPOptions) (ispTable, error) {
	table := ispTable{byCode: make(map[string]*provider)}
	for _, p := range knownProviders() {
		table.byCode[p.code] = p
	}
	var problems []error
	named := make(map[string]bool, len(options))
	for i, o := range options {
		label := fmt.Sprintf("isp %q", o.Name)
		switch {
		case o.Name == "":
			label = fmt.Sprintf("isp number %d", i+1)
			problems = append(problems, fmt.Errorf("%s: no name", label))
		case strings.Contains(o.Name, ":"):
			problems = append(problems, fmt.Errorf(`%s: a name has no ":": sources put "isp:" in front of it themselves`, label))
		case o.Name == regionWord:
			problems = append(problems, fmt.Errorf("%s: the name is taken: cn_region_guangdong is a province", label))
		case named[o.Name]:
			problems = append(problems, fmt.Errorf("%s: there are two of this name: put their asns and names together", label))
		}
		if len(o.ASNs) == 0 && len(o.Names) == 0 {
			problems = append(problems, fmt.Errorf("%s: neither asns nor names: want the numbers of its autonomous systems, "+
				"or its names in an ISP database", label))
		}
		p := o.provider(table.byCode[o.Name])
		for _, n := range o.ASNs {
			if n < 1 || int64(n) > math.MaxUint32 {
				problems = append(problems,
					fmt.Errorf("%s: %d is not the number of an autonomous system: want 1 to 4294967295", label, n))
				continue
			}
			p.asns[uint32(n)] = struct{}{}
		}
		if slices.Contains(o.Names, "") {
			problems = append(problems, fmt.Errorf("%s: one of its names is empty", label))
		}
		named[o.Name] = true
		table.byCode[o.Name] = p
	}
	return table, errors.Join(problems...)
}

// provider is what the options make of a provider that there was before, or nil, still without their own numbers.
func (o ISPOptions) provider(before *provider) *provider {
	p := &provider{code: o.Name, name: o.Name, nameZH: o.Name, asns: make(map[uint32]struct{})}
	if before != nil {
		p.name, p.nameZH = before.name, before.nameZH
		if !o.Replace {
			maps.Copy(p.asns, before.asns)
			p.names = slices.Clone(before.names)
		}
	}
	for _, name := range o.Names {
		if name != "" {
			p.names = append(p.names, name)
		}
	}
	return p
}

// has reports whether a client of whom these facts are known is one of the provider. It does not allocate.
func (t ispTable) has(code string, f *Facts) bool {
	if t.hasNumber(code, f) {
		return true
	}
	p := t.byCode[code]
	if p == nil {
		return false
	}
	for _, name := range p.names {
		if f.ISP != "" && strings.EqualFold(f.ISP, name) || f.Organization != "" && strings.EqualFold(f.Organization, name) {
			return true
		}
	}
	return false
}

// hasNumber reports whether the autonomous system of the client is one of the provider. It does not allocate.
func (t ispTable) hasNumber(code string, f *Facts) bool {
	p := t.byCode[code]
	if p == nil || f.ASN == 0 {
		return false
	}
	_, ok := p.asns[f.ASN]
	return ok
}

func asnText(n uint32) string { return "AS" + strconv.FormatUint(uint64(n), 10) }
