package dashboard

import (
	"cmp"
	"strings"

	"gtmd/admin"
)

// lineRow is a request source of an instance: who gets what.
type lineRow struct {
	Source, Name string
	Clients      string // what clients it means, where it is a list
	Uses         []lineUse
	Explain      string // the form, with a client of the line where one is known
	Databases    string
}

// lineUse is what the clients of a source get in a family.
type lineUse struct {
	Family, Policy string
	Mark           mark
}

// linesFor are the sources of an instance, as the Backend orders them.
func linesFor(sources []admin.SourceStatus, in *admin.InstanceStatus) (rows []lineRow) {
	for i := range sources {
		s := &sources[i]
		row := lineRow{Source: s.Source, Name: s.Name, Databases: strings.Join(s.Databases, ", ")}
		for _, u := range s.Uses {
			if u.Instance == in.Name {
				row.Uses = append(row.Uses, lineUse{familyName(u.Family), u.Policy, mark{policyTone(&admin.PolicyStatus{Why: u.Why}), cmp.Or(u.InForce, "none")}})
			}
		}
		if len(row.Uses) == 0 {
			continue
		}
		client := ""
		if len(s.Prefixes) > 0 {
			const most = 4
			client = s.Prefixes[0]
			row.Clients = strings.Join(s.Prefixes[:min(len(s.Prefixes), most)], ", ")
			if more := len(s.Prefixes) - most; more > 0 {
				row.Clients += " and " + number(more) + " more"
			}
		}
		row.Explain = explainURL(host(in.AccessDomain), client)
		rows = append(rows, row)
	}
	return rows
}

// reach is what clients a source means, as far as a map can show it.
type reach int

const (
	elsewhere  reach = iota // networks, providers, cities: no tile of a map
	province                // one of China's
	region                  // some of China's provinces
	country                 // one
	overseasOf              // a continent without mainland China
	continent               // one
	overseas                // everything but mainland China
	everybody
)

// reachOf reads what a source is of, and its code: of a country, a continent, a province, or the name of a region.
func reachOf(s *admin.SourceStatus) (reach, string) {
	kind, _, isPlain := strings.Cut(s.Source, ":")
	switch {
	case s.Source == "global" || s.Source == "default":
		return everybody, ""
	case len(s.Prefixes) > 0 || isPlain && (kind == "city" || kind == "asn" || kind == "isp"):
		return elsewhere, ""
	case s.Source == "oversea":
		return overseas, ""
	case s.Source == "internal":
		return country, "CN"
	}
	if place, isLine := strings.CutPrefix(s.Source, "cn_"); isLine {
		where, isRegion := strings.CutPrefix(place, "region_")
		switch {
		case !isRegion:
			return elsewhere, "" // a provider somewhere
		case s.Subdivision != "":
			return province, s.Subdivision
		}
		return region, where
	}
	switch {
	case s.Subdivision != "":
		return province, s.Subdivision
	case s.Country != "":
		return country, s.Country
	case s.Continent != "" && kind == "continent":
		return continent, s.Continent
	case s.Continent != "":
		return overseasOf, s.Continent
	}
	return elsewhere, ""
}
