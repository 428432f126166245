package admin

// Part says which part of a list a reply has: the items from Offset on.
type Part struct {
	Total  int  `json:"total"` // of all that fit the query
	Offset int  `json:"offset"`
	More   bool `json:"more"` // whether there are further ones behind these
}

// How many items of a list are sent at once: without a limit, and at most.
const (
	defaultItems = 100
	maxItems     = 1000
)

// InstanceList is the answer of GET /api/v1/instances, in the order of the configuration.
type InstanceList struct {
	Instances []InstanceStatus `json:"instances"`
	Part
}

// PolicyEntry is one policy of an instance for one family.
type PolicyEntry struct {
	Instance     string `json:"instance"`
	AccessDomain string `json:"access_domain"`
	PolicyStatus
}

// PolicyList is the answer of GET /api/v1/policies.
type PolicyList struct {
	Policies []PolicyEntry `json:"policies"`
	Part
}

// SetEntry is one address pool set of a policy for one family.
type SetEntry struct {
	Instance string `json:"instance"`
	Policy   string `json:"policy"`
	Family   string `json:"family"`
	SetStatus
}

// SetList is the answer of GET /api/v1/sets.
type SetList struct {
	Sets []SetEntry `json:"sets"`
	Part
}

// PoolList is the answer of GET /api/v1/pools, in the order of the configuration.
type PoolList struct {
	Pools []PoolStatus `json:"pools"`
	Part
}

// AddressList is the answer of GET /api/v1/addresses: each address once for each pool that it is in.
type AddressList struct {
	Addresses []AddressStatus `json:"addresses"`
	Part
}

// SourceList is the answer of GET /api/v1/lines.
type SourceList struct {
	Lines []SourceStatus `json:"lines"`
	Part
}

// SwitchList is the answer of GET /api/v1/switches, the latest first.
type SwitchList struct {
	Switches []Switch `json:"switches"`
	Part
}
