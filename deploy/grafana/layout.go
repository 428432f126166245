package grafana

// row is a row of panels.
type row struct {
	title       string
	isCollapsed bool
	panels      []panel
}

// panel is one picture.
type panel struct {
	title, help string
	kind        string // of Grafana; empty: "timeseries"
	unit        string // of Grafana; empty: "short"
	width       int    // of 24
	height      int    // 0: 8, or 4 for a stat
	queries     []query
	// badFrom is the value from which a stat is red; 0: there is none. isGoodAbove turns it round: red is below.
	badFrom     float64
	isGoodAbove bool
	stacked     bool
}

// query is one of Prometheus. $on stands for the selection of the variables.
type query struct{ expr, legend string }

const policyLegend = "{{exported_instance}} {{policy}} {{family}}"

// layout is what operators look at, the most important thing first.
var layout = []row{
	{title: "Now", panels: []panel{
		{title: "gtmd that answer", kind: "stat", width: 3, queries: []query{{`sum(up{job=~"$job", instance=~"$instance"})`, ""}}, badFrom: 1, isGoodAbove: true},
		{title: "Queries per second", kind: "stat", unit: "reqps", width: 3, queries: []query{{`sum(rate(gtmd_dns_requests_total{$on}[$__rate_interval]))`, ""}}},
		{title: "Fail open", kind: "stat", width: 3, badFrom: 1, queries: []query{{`sum(gtmd_policy_fail_open{$on})`, ""}},
			help: "Policies that answer with addresses that are down, because there is nothing better."},
		{title: "On backup", kind: "stat", width: 3, badFrom: 1, queries: []query{{`count(gtmd_policy_active_set{$on, set!="primary"} == 1) or vector(0)`, ""}}},
		{title: "Addresses down", kind: "stat", width: 3, badFrom: 1, queries: []query{{`count(gtmd_address_up{$on} == 0) or vector(0)`, ""}}},
		{title: "Blind", kind: "stat", width: 3, badFrom: 1, queries: []query{{`sum(gtmd_prober_blind{$on})`, ""}},
			help: "Families for which this prober takes failures for its own: no verdict turns down."},
		{title: "Configuration refused", kind: "stat", width: 3, badFrom: 1, queries: []query{{`count(gtmd_config_last_reload_successful{$on} == 0) or vector(0)`, ""}}},
		{title: "Overrides", kind: "stat", width: 3, badFrom: 1, queries: []query{{`sum(gtmd_overrides{$on})`, ""}}},
	}},
	{title: "Steering", panels: []panel{
		{title: "Set in force", kind: "state-timeline", width: 24, height: 9, help: "Red is a set other than the primary.",
			queries: []query{{`max by (exported_instance, policy, family) (gtmd_policy_active_set{$on, set!="primary", exported_instance=~"$gtm"})`, policyLegend}}},
		{title: "Answers by set", unit: "reqps", width: 12, stacked: true,
			queries: []query{{`sum by (exported_instance, set) (rate(gtmd_answers_total{$on, exported_instance=~"$gtm"}[$__rate_interval]))`, "{{exported_instance}} {{set}}"}}},
		{title: "Switches in an hour", width: 12, queries: []query{
			{`sum by (exported_instance, policy, family, from, to) (increase(gtmd_policy_switches_total{$on, exported_instance=~"$gtm"}[1h])) > 0`, policyLegend + ": {{from}} -> {{to}}"}}},
		{title: "Available addresses of sets", width: 12, queries: []query{
			{`gtmd_set_available_addresses{$on, exported_instance=~"$gtm"}`, policyLegend + " {{set}}"}}},
		{title: "Addresses to spare", width: 12, help: "How many may go before the set is not available. Below 0: it is not.", queries: []query{
			{`gtmd_set_available_addresses{$on, exported_instance=~"$gtm"} - gtmd_set_required_addresses{$on, exported_instance=~"$gtm"}`, policyLegend + " {{set}}"}}},
	}},
	{title: "Health", panels: []panel{
		{title: "Addresses that are not available", kind: "state-timeline", width: 24, height: 9,
			queries: []query{{`1 - gtmd_address_up{$on} and on (pool, address) (min_over_time(gtmd_address_up{$on}[$__range]) == 0)`, "{{pool}} {{address}}"}}},
		{title: "Probes", unit: "cps", width: 8, stacked: true, queries: []query{{`sum by (protocol, result) (rate(gtmd_probes_total{$on}[$__rate_interval]))`, "{{protocol}} {{result}}"}}},
		{title: "How long probes take, p50 and p99", unit: "s", width: 8, queries: []query{
			{`histogram_quantile(0.5, sum by (le, protocol) (rate(gtmd_probe_duration_seconds_bucket{$on}[$__rate_interval])))`, "p50 {{protocol}}"},
			{`histogram_quantile(0.99, sum by (le, protocol) (rate(gtmd_probe_duration_seconds_bucket{$on}[$__rate_interval])))`, "p99 {{protocol}}"}}},
		{title: "The slowest addresses", unit: "s", width: 8, queries: []query{{`topk(10, gtmd_probe_last_duration_seconds{$on})`, "{{pool}} {{address}}"}}},
		{title: "Verdicts that turned down in an hour", width: 8, queries: []query{{`sum by (pool) (increase(gtmd_address_transitions_total{$on, to="down"}[1h])) > 0`, "{{pool}}"}}},
		{title: "Certificates of origins end in", unit: "s", width: 8, queries: []query{{`bottomk(10, gtmd_probe_tls_cert_expiry_timestamp_seconds{$on} - time())`, "{{pool}} {{address}}"}}},
		{title: "Probes that begin late, p99", unit: "s", width: 8, queries: []query{
			{`histogram_quantile(0.99, sum by (le, instance) (rate(gtmd_probe_start_delay_seconds_bucket{$on}[$__rate_interval])))`, "{{instance}}"}}},
	}},
	{title: "DNS", panels: []panel{
		{title: "Queries by type", unit: "reqps", width: 8, stacked: true, queries: []query{{`sum by (type) (rate(gtmd_dns_requests_total{$on}[$__rate_interval]))`, "{{type}}"}}},
		{title: "Answers by rcode", unit: "reqps", width: 8, stacked: true, queries: []query{{`sum by (rcode) (rate(gtmd_dns_responses_total{$on}[$__rate_interval]))`, "{{rcode}}"}}},
		{title: "With a client subnet", unit: "percentunit", width: 8, queries: []query{
			{`sum by (instance) (rate(gtmd_dns_ecs_requests_total{$on}[$__rate_interval])) / sum by (instance) (rate(gtmd_dns_requests_total{$on}[$__rate_interval]))`, "{{instance}}"}}},
		{title: "Dropped, over a limit, not sent", unit: "reqps", width: 8, queries: []query{
			{`sum by (instance) (rate(gtmd_dns_dropped_requests_total{$on}[$__rate_interval]))`, "dropped {{instance}}"},
			{`sum by (instance, action) (rate(gtmd_dns_rate_limited_total{$on}[$__rate_interval]))`, "limited: {{action}} {{instance}}"},
			{`sum by (instance) (rate(gtmd_dns_unsent_responses_total{$on}[$__rate_interval]))`, "not sent {{instance}}"}}},
		{title: "TCP connections", width: 8, queries: []query{
			{`gtmd_dns_tcp_connections{$on}`, "open {{instance}}"}, {`sum by (reason) (rate(gtmd_dns_tcp_closed_total{$on}[$__rate_interval]))`, "closed: {{reason}}"}}},
		{title: "CPU for each query", unit: "s", width: 8, help: "Of everything that the process does, probes too.", queries: []query{
			{`rate(process_cpu_seconds_total{$on}[$__rate_interval]) / on (job, instance) (sum by (job, instance) (rate(gtmd_dns_requests_total{$on}[$__rate_interval])) > 0)`, "{{instance}}"}}},
	}},
	{title: "Business domains, events, alerts", panels: []panel{
		{title: "Business domains that are not configured", width: 8, queries: []query{{`gtmd_business_domain_configured{$on} == 0`, "{{exported_instance}} {{domain}}"}}},
		{title: "Since an access domain was last asked for", unit: "s", width: 8, queries: []query{
			{`topk(10, time() - gtmd_access_domain_last_query_timestamp_seconds{$on, exported_instance=~"$gtm"})`, "{{exported_instance}}"}}},
		{title: "Events", unit: "cps", width: 8, stacked: true, queries: []query{{`sum by (kind) (rate(gtmd_events_total{$on}[$__rate_interval])) > 0`, "{{kind}}"}}},
		{title: "Messages of alerts that wait", width: 12, queries: []query{{`gtmd_alerts_queue_length{$on}`, "{{group}} {{method}}"}}},
		{title: "Messages of alerts", width: 12, queries: []query{{`sum by (group, method, result) (increase(gtmd_alerts_messages_total{$on}[1h]))`, "{{group}} {{method}} {{result}}"}}},
	}},
	{title: "Process", isCollapsed: true, panels: []panel{
		{title: "CPU", unit: "percentunit", width: 8, queries: []query{{`rate(process_cpu_seconds_total{$on}[$__rate_interval])`, "{{instance}}"}}},
		{title: "Memory", unit: "bytes", width: 8, queries: []query{{`process_resident_memory_bytes{$on}`, "{{instance}}"}}},
		{title: "Descriptors", width: 8, queries: []query{{`process_open_fds{$on}`, "{{instance}}"}, {`process_max_fds{$on}`, "most {{instance}}"}}},
		{title: "Goroutines", width: 8, queries: []query{{`go_goroutines{$on}`, "{{instance}}"}}},
		{title: "Admin API", unit: "reqps", width: 8, stacked: true, queries: []query{{`sum by (handler, code) (rate(gtmd_http_requests_total{$on}[$__rate_interval]))`, "{{handler}} {{code}}"}}},
		{title: "Age of geo databases", unit: "s", width: 8, queries: []query{{`time() - gtmd_geoip_database_build_timestamp_seconds{$on}`, "{{instance}} {{path}}"}}},
	}},
}
