package alert

import "slices"

// Kind is a kind of event, as a configuration names it. Most things begin and end, and the two have names of their own.
type Kind string

// The kinds. Those that end have the name of their end beside them in [ends].
const (
	AddressDown         Kind = "address_down"
	SetUnavailable      Kind = "set_unavailable"
	Switch              Kind = "switch"
	FailOpen            Kind = "fail_open"
	Unconfigured        Kind = "instance_unconfigured"
	ProberBlind         Kind = "prober_blind"
	ConfigRejected      Kind = "config_rejected"
	DatabaseStale       Kind = "geo_database_stale"
	CertificateExpiring Kind = "certificate_expiring"
)

// kinds are all of them with their ends; a switch has none.
var kinds = [...]struct{ begin, end Kind }{
	{AddressDown, "address_up"},
	{SetUnavailable, "set_available"},
	{Switch, ""},
	{FailOpen, "fail_open_end"},
	{Unconfigured, "instance_configured"},
	{ProberBlind, "prober_sees"},
	{ConfigRejected, "config_loaded"},
	{DatabaseStale, "geo_database_fresh"},
	{CertificateExpiring, "certificate_renewed"},
}

// Values lists what a configuration may say.
func (Kind) Values() []string {
	var all []string
	for _, k := range kinds {
		all = append(all, string(k.begin))
		if k.end != "" {
			all = append(all, string(k.end))
		}
	}
	return all
}

// Begin returns the kind of the beginning, for that of an end: "address_down" of "address_up". Others are returned as they are.
func (k Kind) Begin() Kind {
	for _, pair := range kinds {
		if k == pair.end {
			return pair.begin
		}
	}
	return k
}

// End returns the name of the end of a kind; empty: it has none.
func (k Kind) End() Kind {
	for _, pair := range kinds {
		if k == pair.begin {
			return pair.end
		}
	}
	return ""
}

// takes tells whether a list of kinds, as configured, has an event: its beginning, or its end. An empty list has all. With
// resolved the ends go with their beginnings; without it those named go.
func takes(list []Kind, resolved bool, kind Kind, isEnd bool) bool {
	switch {
	case !isEnd:
		return len(list) == 0 || slices.Contains(list, kind)
	case resolved:
		return len(list) == 0 || slices.Contains(list, kind) || slices.Contains(list, kind.End())
	default:
		return slices.Contains(list, kind.End()) && kind.End() != ""
	}
}
