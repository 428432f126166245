package querylog

// Options is the [dns.query_log] section of the configuration.
type Options struct {
	// File that queries are logged to, a line of JSON each; relative to the configuration file. "-" is standard output; empty logs none. A reload opens it anew, for logrotate.
	File string `toml:"file"`
	// Share of the queries that is logged, chosen at random.
	Sample float64 `toml:"sample" default:"1" range:"0.000001..1"`
	// Which of them: all, those with a response code other than NOERROR, or those that an access policy answered.
	Only Only `toml:"only" default:"all"`
	// Cut the addresses of clients to /24 and /48.
	Anonymize bool `toml:"anonymize" default:"false"`
	// Queries that wait to be written, at most; more are dropped and counted. Each takes max_udp_payload and some 300 octets of memory.
	Buffer int `toml:"buffer" default:"4096" range:"64..100000"`
}

// DnstapOptions is the [dns.dnstap] section of the configuration.
type DnstapOptions struct {
	// Unix socket of the collector, which listens on it; relative to the configuration file. Empty: no dnstap.
	Socket string `toml:"socket"`
	// What this server is called in the messages. Empty: the name of the host.
	Identity string `toml:"identity"`
	// What its software is called in the messages.
	Version string `toml:"version" default:"gtmd"`
	// Share of the queries that is sent, chosen at random.
	Sample float64 `toml:"sample" default:"1" range:"0.000001..1"`
	// Which messages are sent of each: AUTH_QUERY, AUTH_RESPONSE, or both.
	Messages Messages `toml:"messages" default:"both"`
	// Queries that wait to be sent, at most; more are dropped and counted. Each takes max_udp_payload and some 800 octets of memory.
	Buffer int `toml:"buffer" default:"4096" range:"64..100000"`
}

// Only is a choice of queries.
type Only string

// The choices. OnlyErrors leaves out NOERROR, OnlyAccess what no access policy answered. The zero value is OnlyAll.
const (
	OnlyAll    Only = "all"
	OnlyErrors Only = "errors"
	OnlyAccess Only = "access"
)

// Values lists what a configuration may say.
func (Only) Values() []string {
	return []string{string(OnlyAll), string(OnlyErrors), string(OnlyAccess)}
}

// Messages is a choice of dnstap messages.
type Messages string

// The choices. The zero value is BothMessages.
const (
	BothMessages     Messages = "both"
	QueryMessages    Messages = "query"
	ResponseMessages Messages = "response"
)

// Values lists what a configuration may say.
func (Messages) Values() []string {
	return []string{string(BothMessages), string(QueryMessages), string(ResponseMessages)}
}
