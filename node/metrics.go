package node

import (
	"runtime"
	"slices"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"

	"gtmd/admin"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// metrics are those of the node itself. What belongs to the configuration (addresses, pools, policies) is read from the
// world at every scrape, so that it appears and disappears with it; counters are kept beside.
type metrics struct {
	node        *Node
	reloads     *prometheus.CounterVec
	lastGood    prometheus.Gauge
	lastSuccess prometheus.Gauge
	saveErrors  prometheus.Counter
	lastSave    prometheus.Gauge
	copyErrors  prometheus.Counter
	switches    counts[switchKey]
	transitions counts[transitionKey]
}

type switchKey struct{ instance, policy, family, from, to string }

type transitionKey struct{ target, to string }

func newMetrics(n *Node) (*metrics, error) {
	m := &metrics{
		node: n,
		reloads: prometheus.NewCounterVec(prometheus.CounterOpts{
			Name: "gtmd_config_reloads_total", Help: "Loads of the configuration, by result.",
		}, []string{"result"}),
		lastGood: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gtmd_config_last_reload_successful", Help: "1 when the last load of the configuration was served, 0 when it was refused.",
		}),
		lastSuccess: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gtmd_config_last_reload_success_timestamp_seconds", Help: "When the configuration that is served was loaded.",
		}),
		saveErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gtmd_state_save_failures_total", Help: "Writes of the saved state that failed.",
		}),
		lastSave: prometheus.NewGauge(prometheus.GaugeOpts{
			Name: "gtmd_state_last_save_timestamp_seconds", Help: "When the state was last saved.",
		}),
		copyErrors: prometheus.NewCounter(prometheus.CounterOpts{
			Name: "gtmd_geoip_database_copy_failures_total", Help: "Attempts to keep last good copies of the geo databases that failed.",
		}),
	}
	m.reloads.WithLabelValues("success")
	m.reloads.WithLabelValues("failure")
	v := n.options.Version
	build := prometheus.NewGauge(prometheus.GaugeOpts{
		Name: "gtmd_build_info", Help: "The program that runs; always 1.",
		ConstLabels: prometheus.Labels{"version": v.Version, "revision": v.Revision, "goversion": runtime.Version()},
	})
	build.Set(1)
	for _, c := range []prometheus.Collector{
		m.reloads, m.lastGood, m.lastSuccess, m.saveErrors, m.lastSave, m.copyErrors, build, m, n.stats,
		collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}),
	} {
		if err := n.registry.Register(c); err != nil {
			return nil, err
		}
	}
	return m, nil
}

func (m *metrics) reloaded(err error) {
	if err != nil {
		m.reloads.WithLabelValues("failure").Inc()
		m.lastGood.Set(0)
		return
	}
	m.reloads.WithLabelValues("success").Inc()
	m.lastGood.Set(1)
	m.lastSuccess.Set(seconds(m.node.world.Load().loaded))
}

func (m *metrics) saved(err error) {
	if err != nil {
		m.saveErrors.Inc()
		return
	}
	m.lastSave.Set(seconds(time.Now()))
}

func (m *metrics) switched(s admin.Switch) {
	m.switches.add(switchKey{s.Instance, s.Policy, s.Family, s.From, s.To})
}

func (m *metrics) turned(target string, to healthcheck.Verdict) {
	m.transitions.add(transitionKey{target, string(to)})
}

// prune forgets the counters of what a newly loaded world does not have.
func (m *metrics) prune(w *world) {
	targets, policies := map[string]bool{}, map[[3]string]bool{}
	for _, t := range w.targets {
		targets[t.ID] = true
	}
	for _, s := range w.slots {
		k := w.key(s)
		policies[[3]string{k.instance, k.policy, k.family.String()}] = true
	}
	m.node.atlas.failures.keep(func(path string) bool { return databaseOf(w.databases, path) != nil })
	m.transitions.keep(func(k transitionKey) bool { return targets[k.target] })
	m.switches.keep(func(k switchKey) bool { return policies[[3]string{k.instance, k.policy, k.family}] })
}

func seconds(t time.Time) float64 { return float64(t.UnixNano()) / 1e9 }

// The metrics of the world.
var (
	configInfo = desc("gtmd_config_info", "The configuration that is served, by the hash of its files; always 1.", "sha256")

	zoneSerials = desc("gtmd_zone_serial", "The serial number of the SOA record of a zone that has secondaries.", "zone")

	databaseBuilt    = desc("gtmd_geoip_database_build_timestamp_seconds", "When the data of the geo database that serves was put together.", "path", "database_type")
	databaseInfo     = desc("gtmd_geoip_database_info", "The geo database that serves, by the hash of its content; always 1.", "path", "database_type", "sha256")
	databaseOK       = desc("gtmd_geoip_database_ok", "1 while the file is what serves, 0 while it cannot be used and an older one serves.", "path")
	databaseFailures = desc("gtmd_geoip_database_load_failures_total", "Contents of the file of the geo database that could not be used.", "path")
	databaseNetworks = desc("gtmd_geoip_database_networks", "Networks that the geo database which serves has a record of.", "path", "family")
	geoBuild         = desc("gtmd_geo_build_duration_seconds", "How long it took to compile the geo databases and lines that serve.")
	geoClasses       = desc("gtmd_geo_classes", "Classes of clients that the request sources in use tell apart.")

	addressUp          = desc("gtmd_address_up", "1 while the address is available, 0 while it is not, whoever decides that: its verdict or its mode.", "pool", "address")
	addressTransitions = desc("gtmd_address_transitions_total", "Turns of the verdict of a probed address.", "pool", "address", "to")
	addressLastTurn    = desc("gtmd_address_last_transition_timestamp_seconds", "Since when the verdict of a probed address holds.", "pool", "address")
	addressDegraded    = desc("gtmd_address_degraded", "1 while a probed address passes and something is amiss: it is slow, or its certificate is near its end.", "pool", "address")
	addressFlapping    = desc("gtmd_address_flapping", "1 while the verdict of a probed address is held because it turned too often.", "pool", "address")
	overridesSet       = desc("gtmd_overrides", "Overrides in force, by what they force.", "state")
	probeSuccess       = desc("gtmd_probe_success", "1 when the last probe of the address was good, of several health checks that of each.", "pool", "address")
	probeDuration      = desc("gtmd_probe_last_duration_seconds", "How long the last probe of the address took.", "pool", "address")
	probeLastRun       = desc("gtmd_probe_last_run_timestamp_seconds", "When the last probe of the address started.", "pool", "address")
	certExpiry         = desc("gtmd_probe_tls_cert_expiry_timestamp_seconds", "When the first certificate of the address's chain expires.", "pool", "address")

	poolAddresses = desc("gtmd_pool_addresses", "Addresses of the pool that are not offline.", "pool")
	poolAvailable = desc("gtmd_pool_available_addresses", "Addresses of the pool that are available.", "pool")

	setAvailable       = desc("gtmd_set_available", "1 while the set has as many available addresses as it needs.", "instance", "policy", "family", "set")
	setAddresses       = desc("gtmd_set_available_addresses", "Available addresses of the set.", "instance", "policy", "family", "set")
	setRequired        = desc("gtmd_set_required_addresses", "Available addresses that the set needs to be available.", "instance", "policy", "family", "set")
	activeSet          = desc("gtmd_policy_active_set", "1 for the set in force, 0 for the others.", "instance", "policy", "family", "set")
	failOpen           = desc("gtmd_policy_fail_open", "1 while the policy answers with addresses that are down, because none of the set in force is up.", "instance", "policy", "family")
	policySwitches     = desc("gtmd_policy_switches_total", "Changes of the set in force.", "instance", "policy", "family", "from", "to")
	lastSwitch         = desc("gtmd_policy_last_switch_timestamp_seconds", "Since when the set in force is.", "instance", "policy", "family")
	businessConfigured = desc("gtmd_business_domain_configured", "1 while the business domain leads to the CDN, 0 while it does not; absent while that is not known.", "instance", "domain")
	businessChecked    = desc("gtmd_business_domain_last_check_timestamp_seconds", "When a resolver last told where the business domain leads.", "instance", "domain")
	lastQuery          = desc("gtmd_access_domain_last_query_timestamp_seconds", "When the access domain was last asked for; 0: not since the start of this process.", "instance")

	answers = desc("gtmd_answers_total", "Answers given by a policy, by the set that they came from.", "instance", "policy", "family", "set")
)

func desc(name, help string, labels ...string) *prometheus.Desc {
	return prometheus.NewDesc(name, help, labels, nil)
}

// Describe implements prometheus.Collector.
func (m *metrics) Describe(ch chan<- *prometheus.Desc) {
	for _, d := range []*prometheus.Desc{
		configInfo, zoneSerials, databaseBuilt, databaseInfo, databaseOK, databaseFailures, databaseNetworks, geoBuild, geoClasses, addressUp, addressTransitions, addressLastTurn, addressDegraded, addressFlapping, overridesSet, probeSuccess, probeDuration, probeLastRun, certExpiry,
		poolAddresses, poolAvailable, setAvailable, setAddresses, setRequired, activeSet, failOpen, policySwitches, lastSwitch, businessConfigured, businessChecked, lastQuery, answers,
	} {
		ch <- d
	}
}

// Collect implements prometheus.Collector.
func (m *metrics) Collect(ch chan<- prometheus.Metric) {
	w := m.node.world.Load()
	if w == nil {
		return
	}
	send := sender{ch}
	send.gauge(configInfo, 1, w.config.Hash)
	for zone, s := range w.serials {
		send.gauge(zoneSerials, float64(s.Serial), zone)
	}
	m.collectGeography(send, w)
	health := m.node.health()
	m.collectPools(send, w, health)
	for _, kind := range []policy.OverrideKind{policy.OverrideUp, policy.OverrideDown, policy.OverrideDrain} {
		count := 0
		for _, o := range w.overrides.all() {
			if o.kind == kind {
				count++
			}
		}
		send.gauge(overridesSet, float64(count), string(kind))
	}
	if !w.config.File.Admin.InstanceMetrics {
		return
	}
	m.collectBusiness(send)
	for _, s := range w.slots {
		m.collectPolicy(send, w.key(s), w.decision(s))
	}
	for _, in := range w.instances {
		asked := 0.0
		if at := m.node.stats.LastAsked(in.Name); !at.IsZero() {
			asked = seconds(at)
		}
		send.gauge(lastQuery, asked, in.Name)
		for _, access := range in.Policies {
			m.collectAnswers(send, in, access)
		}
	}
}

func (m *metrics) collectGeography(send sender, w *world) {
	for _, d := range w.databases {
		send.gauge(databaseBuilt, seconds(d.Built), d.path, d.Type)
		send.gauge(databaseInfo, 1, d.path, d.Type, d.Hash)
		send.gauge(databaseOK, truth(d.refused == nil), d.path)
		send.counter(databaseFailures, m.node.atlas.failures.get(d.path), d.path)
		send.gauge(databaseNetworks, float64(d.Networks4), d.path, policy.IPv4.String())
		send.gauge(databaseNetworks, float64(d.Networks6), d.path, policy.IPv6.String())
	}
	send.gauge(geoBuild, w.buildDuration.Seconds())
	send.gauge(geoClasses, float64(w.geo.Classes()))
}

// collectBusiness tells whether business domains lead to the CDN.
func (m *metrics) collectBusiness(send sender) {
	for _, s := range m.node.business.all() {
		if s.Checked != nil {
			send.gauge(businessChecked, seconds(*s.Checked), s.Instance, s.Domain)
		}
		if s.State == admin.Configured || s.State == admin.NotConfigured {
			send.gauge(businessConfigured, truth(s.State == admin.Configured), s.Instance, s.Domain)
		}
	}
}

func (m *metrics) collectPools(send sender, w *world, health *healthcheck.Status) {
	now, isDetailed, hasPools := time.Now(), w.config.File.Admin.AddressMetrics, w.config.File.Admin.InstanceMetrics
	if !isDetailed && !hasPools {
		return
	}
	for _, p := range w.pools {
		candidates, available := 0, 0
		for i := range p.Addresses {
			a := &p.Addresses[i]
			standing := w.poolStanding(p, a, health, now)
			if standing != policy.StandsOffline {
				candidates++
			}
			if standing.Available() {
				available++
			}
			if isDetailed {
				send.gauge(addressUp, truth(standing.Available()), p.Name, a.Name)
				m.collectTargets(send, p.Name, a, health)
			}
		}
		if hasPools {
			send.gauge(poolAddresses, float64(candidates), p.Name)
			send.gauge(poolAvailable, float64(available), p.Name)
		}
	}
}

// collectTargets tells of the health checks of an address, of several together: what all have done, the oldest of what is
// good only when each is, the first certificate to expire.
func (m *metrics) collectTargets(send sender, pool string, a *policy.Address, health *healthcheck.Status) {
	var turned, lastRun, expires time.Time
	turns := map[healthcheck.Verdict]uint64{}
	isProbed, isGood, isDegraded, isFlapping, duration := false, true, false, false, time.Duration(0)
	for id := range a.Probed() {
		t, known := health.Find(id)
		if !known {
			continue
		}
		isProbed = true
		for _, to := range []healthcheck.Verdict{healthcheck.Up, healthcheck.Down} {
			turns[to] += m.transitions.get(transitionKey{id, string(to)})
		}
		if t.Since.After(turned) {
			turned = t.Since
		}
		if !t.LastProbe.IsZero() {
			isGood = isGood && (t.LastError == "" || t.Void && t.Bad == 0)
			duration = max(duration, t.LastDuration)
			if t.LastProbe.After(lastRun) {
				lastRun = t.LastProbe
			}
		}
		isDegraded, isFlapping = isDegraded || t.Degraded != "", isFlapping || !t.Flapping.IsZero()
		expires = earlier(expires, t.Report.CertificateExpires)
	}
	if !isProbed {
		return
	}
	for to, count := range turns {
		send.counter(addressTransitions, count, pool, a.Name, string(to))
	}
	send.gauge(addressDegraded, truth(isDegraded), pool, a.Name)
	send.gauge(addressFlapping, truth(isFlapping), pool, a.Name)
	if !turned.IsZero() {
		send.gauge(addressLastTurn, seconds(turned), pool, a.Name)
	}
	if !lastRun.IsZero() {
		send.gauge(probeSuccess, truth(isGood), pool, a.Name)
		send.gauge(probeDuration, duration.Seconds(), pool, a.Name)
		send.gauge(probeLastRun, seconds(lastRun), pool, a.Name)
	}
	if !expires.IsZero() {
		send.gauge(certExpiry, seconds(expires), pool, a.Name)
	}
}

func (m *metrics) collectPolicy(send sender, k policyKey, d *policy.Decision) {
	family := k.family.String()
	roles := append(rolesOf(d.Policy), noSet)
	for i := range d.Policy.Sets {
		role, state := d.Policy.Sets[i].Role, d.Sets[i]
		labels := []string{k.instance, k.policy, family, role}
		send.gauge(setAvailable, truth(state.Available), labels...)
		send.gauge(setAddresses, float64(state.Count), labels...)
		send.gauge(setRequired, float64(state.Need), labels...)
		send.gauge(activeSet, truth(i == d.Set), labels...)
	}
	send.gauge(failOpen, truth(d.Set >= 0 && d.Sets[d.Set].Count == 0), k.instance, k.policy, family)
	send.gauge(lastSwitch, seconds(d.Since), k.instance, k.policy, family)
	for _, from := range roles {
		for _, to := range roles {
			if from != to {
				send.counter(policySwitches, m.switches.get(switchKey{k.instance, k.policy, family, from, to}), k.instance, k.policy, family, from, to)
			}
		}
	}
}

// collectAnswers tells the answers of a policy by question type and set. A policy that falls through answers from the
// sets of the global one too.
func (m *metrics) collectAnswers(send sender, in *policy.Instance, access policy.Access) {
	for f, decided := range access.Decided {
		if decided == nil {
			continue
		}
		family, roles := policy.Family(f), append(rolesOf(decided), noSet)
		if global := in.Global(family); access.FallThrough && global >= 0 {
			roles = append(roles, rolesOf(in.Policies[global].Decided[f])...)
		}
		slices.Sort(roles)
		for _, role := range slices.Compact(roles) {
			key := view.CounterKey{Instance: in.Name, Policy: access.Name, Family: family, Set: role}
			send.counter(answers, m.node.stats.Answers(key), in.Name, access.Name, family.String(), role)
		}
	}
}

// rolesOf are the roles of the sets of a policy.
func rolesOf(p *policy.Policy) []string {
	roles := make([]string, len(p.Sets))
	for i := range p.Sets {
		roles[i] = p.Sets[i].Role
	}
	return roles
}

// sender sends metrics to a scrape.
type sender struct{ ch chan<- prometheus.Metric }

func (s sender) gauge(d *prometheus.Desc, value float64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.GaugeValue, value, labels...)
}

func (s sender) counter(d *prometheus.Desc, value uint64, labels ...string) {
	s.ch <- prometheus.MustNewConstMetric(d, prometheus.CounterValue, float64(value), labels...)
}

func truth(b bool) float64 {
	if b {
		return 1
	}
	return 0
}
