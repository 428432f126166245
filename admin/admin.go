// Package admin is the HTTP side of a running gtmd: a JSON API, /metrics, /healthz and /readyz, over TCP for monitoring
// and over a unix socket for the command line. Only the socket takes what steers; reports of origins come in over both.
//
// It knows nothing of DNS. Whatever it shows it asks of its Backend; the types of this file are what the API sends.
package admin

import (
	"context"
	"net/netip"
	"time"
)

// Backend is what the API needs of the process that it belongs to. Its methods are called concurrently.
type Backend interface {
	// Ready is nil when queries are answered, else why not.
	Ready() error
	// Status is the state of everything.
	Status() Status
	// Explain says what a client gets and why. The error is for people: a question that makes no sense.
	Explain(Question) (Explanation, error)
	// Reload loads the configuration again and returns when it is served or refused; the error has every problem.
	Reload(context.Context) error
	// ReloadDifference is Reload, and says what it has changed for clients.
	ReloadDifference(context.Context) (Difference, error)
	// Switch makes a policy serve a set, by its role, until availability or the operator moves it again. Each family that
	// the policy decides moves by itself; it is an error only when none can.
	Switch(context.Context, SwitchRequest) (SwitchResult, error)
	// Overrides are those in force, the oldest first.
	Overrides() []Override
	// SetOverride puts an override in force, in place of one on the same target. The request has passed its Check. An
	// [*EmptyError] says that it would leave an instance nothing to answer with, and that it takes force. One without an expiry
	// is worth a warning.
	SetOverride(context.Context, OverrideRequest) (OverrideResult, error)
	// ClearOverride ends overrides and tells which. It is an error when there is none of that ID, or on exactly that target.
	ClearOverride(context.Context, ClearRequest) (ClearResult, error)
	// Preview says what an override, or the end of one, would change for clients. The request's override has passed its Check.
	Preview(PreviewRequest) (Preview, error)
	// Push takes the report of an origin on itself. [ErrPushToken] and [ErrPushTarget] say that it is not believed; any other
	// error that it could not be taken just now. The time it takes must tell neither of tokens nor of what targets there are.
	Push(context.Context, PushReport) error

	// Events are those that fit a query; see [EventList].
	Events(EventQuery) EventList
	// Watch returns a channel that gets a value when an event is new or a verdict, a set in force or an override has changed;
	// several changes may be one value. The function ends it.
	Watch() (changed <-chan struct{}, end func())
	// Refused notes that a change was refused to somebody who may not make it: what was asked, as "POST /api/v1/switch".
	Refused(ctx context.Context, what, why string)
	// Targets are those that fit a query, without their results.
	Targets(TargetQuery) []TargetStatus
	// Target is one target with its results. The error says that there is none.
	Target(id string) (TargetStatus, error)
	// Probe probes now, beside the schedule.
	Probe(context.Context, ProbeRequest) (ProbeReply, error)
	// Drills are those that run and those that are remembered, the latest first.
	Drills() []Drill
	// StartDrill starts a drill. The request has passed its Check. An [*EmptyError] or a [*DrillError] says that it takes
	// force, another error why it is not possible.
	StartDrill(context.Context, DrillRequest) (Drill, error)
	// StopDrill ends one before its time.
	StopDrill(context.Context, StopDrillRequest) (Drill, error)
	// Diff says what a configuration file would change for clients. The error has every problem of the file.
	Diff(context.Context, DiffRequest) (Difference, error)
	// ConfigText is the configuration that is served, file by file, without secrets, and the last refused one.
	ConfigText() ConfigText
	// Sources are the request sources that the configuration uses.
	Sources() []SourceStatus
	// BusinessDomains are those of the configuration, as they were when they were last resolved.
	BusinessDomains() []BusinessDomainStatus
	// Chain resolves a name now.
	Chain(ctx context.Context, domain string) (BusinessDomainStatus, error)
	// Askers are the resolvers that asked for an access domain lately; of all instances when the name is empty.
	Askers(instance string) (AskerList, error)
	// Alerts is the state of what tells people.
	Alerts() AlertStatus
	// TestAlert sends a test message and waits until each method has been tried once.
	TestAlert(context.Context, AlertTestRequest) (AlertTestReply, error)
}

// Version says which program runs.
type Version struct {
	Version  string `json:"version"`
	Revision string `json:"revision,omitempty"`
	Modified bool   `json:"modified,omitempty"`
	Go       string `json:"go"`
	Platform string `json:"platform"`
}

// Status is the answer of /api/v1/status.
type Status struct {
	Version   Version          `json:"version"`
	Started   time.Time        `json:"started"`
	Ready     string           `json:"ready"` // "ready", or why not
	Config    ConfigStatus     `json:"config"`
	Listen    []netip.AddrPort `json:"listen"`
	Databases []DatabaseStatus `json:"databases"` // in the order of the configuration
	// Blind is for which families no verdict turns down now.
	Blind     []BlindStatus    `json:"blind"`
	Overrides []Override       `json:"overrides"` // the oldest first
	Instances []InstanceStatus `json:"instances"`
	Pools     []PoolStatus     `json:"pools"`
	Switches  []Switch         `json:"switches"` // the latest first
	// StateError is why the state could not be saved the last time, StateFailed since when that is so. Empty: it was saved.
	StateError  string     `json:"state_error,omitempty"`
	StateFailed *time.Time `json:"state_failed,omitempty"`
}

// ConfigStatus is the state of the configuration.
type ConfigStatus struct {
	File   string    `json:"file"`
	Hash   string    `json:"hash"`
	Loaded time.Time `json:"loaded"`
	// Error has the problems of the last reload when it was refused, and the older configuration serves on.
	Error      string     `json:"error,omitempty"`
	Refused    *time.Time `json:"refused,omitempty"`
	Generation uint64     `json:"generation"`
	Warnings   []string   `json:"warnings,omitempty"`
}

// DatabaseStatus is the state of one geo database.
type DatabaseStatus struct {
	Path        string `json:"path"`
	Type        string `json:"type"`
	Description string `json:"description,omitempty"`
	// Built is when the data that serves was put together, AgeSeconds how long ago that was.
	Built      time.Time `json:"built"`
	AgeSeconds int64     `json:"age_seconds"`
	Hash       string    `json:"hash"`
	Networks4  int       `json:"networks_ipv4"`
	Networks6  int       `json:"networks_ipv6"`
	State      string    `json:"state"`
	// Error says why the file is refused; Refused is since when. All of the above is then of what serves in its place.
	Error   string     `json:"error,omitempty"`
	Refused *time.Time `json:"refused,omitempty"`
}

// The states of a database.
const (
	DatabaseServes  = "serves"                                   // the file as it is
	DatabaseRefused = "refused, an older one serves"             // what the file was before
	DatabaseCopied  = "refused, the last good copy of it serves" // the copy in the state directory
)

// InstanceStatus is the state of one instance.
type InstanceStatus struct {
	Name         string `json:"name"`
	AccessDomain string `json:"access_domain"`
	// Aliases are further names that answer exactly as the access domain does.
	Aliases         []string       `json:"aliases,omitempty"`
	BusinessDomains []string       `json:"business_domains,omitempty"`
	TTL             uint32         `json:"ttl"`
	Policies        []PolicyStatus `json:"policies"`
}

// PolicyStatus is the state of one policy for one family ("ipv4", "ipv6", or "both" when it is decided for both).
type PolicyStatus struct {
	Name    string   `json:"name"`
	Sources []string `json:"sources"`
	Family  string   `json:"family"`
	// InForce is the role of the set that answers, "none" when nothing is answered.
	InForce string    `json:"in_force"`
	Why     string    `json:"why"`
	Since   time.Time `json:"since"`
	// Until is when this will change by itself.
	Until *time.Time  `json:"until,omitempty"`
	Sets  []SetStatus `json:"sets"`
}

// SetStatus is the state of one address pool set.
type SetStatus struct {
	Role      string     `json:"role"`
	InForce   bool       `json:"in_force"`
	Available bool       `json:"available"`
	Since     *time.Time `json:"since,omitempty"`
	// Verdict is why the set is in force or is not.
	Verdict string `json:"verdict"`
	Balance string `json:"balance"`
	// UpAddresses are available, of Addresses that are not offline; Need is the threshold.
	UpAddresses int             `json:"up_addresses"`
	Addresses   int             `json:"addresses"`
	Need        int             `json:"need"`
	Pools       []string        `json:"pools"`
	Members     []AddressStatus `json:"members,omitempty"` // only in explanations
}

// Switch is one change of the set in force.
type Switch struct {
	Time     time.Time `json:"time"`
	Instance string    `json:"instance"`
	Policy   string    `json:"policy"`
	Family   string    `json:"family"`
	From     string    `json:"from"`
	To       string    `json:"to"`
	Why      string    `json:"why"`
	// Reason names what is down in the set that was left.
	Reason string `json:"reason,omitempty"`
}

// SwitchRequest asks for a change of the set in force.
type SwitchRequest struct {
	Instance string `json:"instance"`
	Policy   string `json:"policy"`
	Set      string `json:"set"`
	// Reason and Author are for people.
	Reason string `json:"reason,omitempty"`
	Author string `json:"author,omitempty"`
}

// SwitchResult is the answer of /api/v1/switch: the request, and what became of it in each family that the policy decides
// by itself, "ipv4" and "ipv6", or "both" where it decides once for both.
type SwitchResult struct {
	SwitchRequest
	// Moved are the families that the set is in force for now; it may have been before. There is at least one.
	Moved []string `json:"moved"`
	// Kept are the families that stay as they were.
	Kept []KeptFamily `json:"kept,omitempty"`
}

// KeptFamily is a family that a switch did not move.
type KeptFamily struct {
	Family string `json:"family"`
	// Reason says, for people, why not.
	Reason string `json:"reason"`
}

// Question is what Explain is asked.
type Question struct {
	Name string `json:"name"`
	Type string `json:"type"` // "A", "AAAA", ...; empty is A
	// Client is the client: an address is the packet's source, a prefix is sent as client subnet (RFC 7871). Empty: 127.0.0.1.
	Client string `json:"client"`
	// Suppose are assumptions such as "pool:test1=down", "192.0.2.1=up", "set:cdn-origin/Global/primary=down": see docs/operations.md.
	Suppose []string `json:"suppose,omitempty"`
}

// Explanation is the answer of /api/v1/explain: what the serving path sends, and why.
type Explanation struct {
	Question
	// Address is the client's address that decides; Subnet is true when it was taken from a client subnet.
	Address netip.Addr `json:"address"`
	Subnet  bool       `json:"subnet"`
	// Found says what the name is to this server.
	Found     string   `json:"found"`
	RCode     string   `json:"rcode"`
	Answer    []string `json:"answer"`
	Authority []string `json:"authority,omitempty"`
	TTL       uint32   `json:"ttl"`
	// Scope is the client-subnet scope: the answer holds for every client in this prefix.
	Scope int `json:"scope"`
	// The rest is there only for access domains.
	Instance string `json:"instance,omitempty"`
	// Databases is what each database says of the client, in the order of the configuration.
	Databases []DatabaseFacts `json:"databases,omitempty"`
	Lines     []LineMatch     `json:"lines,omitempty"`
	// Policy is the policy of the client. Without InForce it has no pools for the question.
	Policy string `json:"policy,omitempty"`
	// FellThrough is the policy that answers instead, because every set of Policy is down.
	FellThrough string      `json:"fell_through,omitempty"`
	InForce     string      `json:"in_force,omitempty"`
	Why         string      `json:"why,omitempty"`
	Since       *time.Time  `json:"since,omitempty"`
	Until       *time.Time  `json:"until,omitempty"`
	Sets        []SetStatus `json:"sets,omitempty"`
	// PassedSets are those of Policy where it fell through; Sets are those of FellThrough then.
	PassedSets []SetStatus `json:"passed_sets,omitempty"`
	// Place is where the client is, where a set with balance nearest is in force and that is known.
	Place *Place `json:"place,omitempty"`
	// Distances of the pools of a set in force with balance nearest or latency, in the order in which they are taken.
	Distances []Distance `json:"distances,omitempty"`
	// Choice says how the answer is chosen among the served addresses.
	Choice string `json:"choice,omitempty"`
	// Health is false when nothing is known of health: the file was asked, not a running server.
	Health     bool   `json:"health"`
	Generation uint64 `json:"generation"`
	// Earliest is when the answer can change by itself at the earliest, as far as that is known; EarliestWhy says by what.
	Earliest    *time.Time `json:"earliest,omitempty"`
	EarliestWhy string     `json:"earliest_why,omitempty"`
}

// DatabaseFacts is what one database says of a client.
type DatabaseFacts struct {
	Path  string    `json:"path"`
	Type  string    `json:"type"`
	Built time.Time `json:"built"`
	// Prefix is the network that it says it of.
	Prefix netip.Prefix `json:"prefix"`
	// Facts are for people: "AS CN CN-GD Guangzhou", "nothing".
	Facts string `json:"facts"`
}

// Place is a point on the Earth, in degrees.
type Place struct {
	Latitude  float64 `json:"latitude"`
	Longitude float64 `json:"longitude"`
}

// Distance is how far a pool is from a client.
type Distance struct {
	Pool string `json:"pool"`
	// Known is false for a pool whose distance is not known: those come last, in the order of the set.
	Known bool `json:"known"`
	// Value is in kilometres ("km") or milliseconds ("ms"), as Unit says.
	Value uint32 `json:"value"`
	Unit  string `json:"unit"`
	// From is where the value is from: "location", "latency table, SOURCE" or "this server's round-trip time"; when it is not
	// known, why.
	From string `json:"from"`
}

// LineMatch is a request source that matches the client.
type LineMatch struct {
	Source string       `json:"source"`
	Prefix netip.Prefix `json:"prefix"`
	// Database is the file that says so, built at that time; empty for lines of the configuration and for everybody.
	Database string     `json:"database,omitempty"`
	Built    *time.Time `json:"built,omitempty"`
	// Policy is the policy of the instance that has the source; empty: none.
	Policy string `json:"policy,omitempty"`
	// Chosen marks the one that counts.
	Chosen bool `json:"chosen"`
}
