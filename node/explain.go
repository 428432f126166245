package node

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/miekg/dns"

	"gtmd/admin"
	"gtmd/config"
	"gtmd/geo"
	"gtmd/healthcheck"
	"gtmd/policy"
	"gtmd/server/view"
)

// Explain asks the code that serves what a client gets, and says why.
func (n *Node) Explain(q admin.Question) (admin.Explanation, error) {
	w, err := n.world.Load().supposed(q.Suppose, time.Now())
	if err != nil {
		return admin.Explanation{}, err
	}
	e, err := w.explain(q, n.health())
	e.Health = true
	return e, err
}

// Explain answers from a configuration that is not running: nothing is known of health, so every address that is probed
// counts as available but where the question supposes something else.
func Explain(c *config.Config, q admin.Question) (admin.Explanation, error) {
	w, err := offline(c)
	if err != nil {
		return admin.Explanation{}, err
	}
	if w, err = w.supposed(q.Suppose, time.Now()); err != nil {
		return admin.Explanation{}, err
	}
	e, err := w.explain(q, w.status)
	e.Since = nil // Nothing holds since any time: it is not running.
	for _, sets := range [][]admin.SetStatus{e.Sets, e.PassedSets} {
		for i := range sets {
			sets[i].Since = nil
		}
	}
	return e, err
}

// explain asks the view of a world what a client gets; health is the present one.
func (w *world) explain(q admin.Question, health *healthcheck.Status) (admin.Explanation, error) {
	question, err := parseQuestion(&q)
	if err != nil {
		return admin.Explanation{}, err
	}
	found, err := w.view.Explain(question)
	if err != nil {
		return admin.Explanation{}, err
	}
	e := admin.Explanation{
		Question: q, Address: found.Client, Subnet: question.Subnet.IsValid() && question.Subnet.Bits() > 0, Found: found.Found,
		RCode: dns.RcodeToString[found.Reply.Rcode], Scope: found.Scope, Generation: w.view.Generation,
		Answer: texts(found.Reply.Answer), Authority: texts(found.Reply.Ns),
	}
	if records := slices.Concat(found.Reply.Answer, found.Reply.Ns); len(records) > 0 {
		e.TTL = records[0].Header().Ttl
	}
	if found.Instance != nil {
		e.Instance = found.Instance.Name
		e.Databases = w.facts(found.Client)
		e.Lines = w.lines(found, question.Type)
	}
	switch {
	case found.Block != nil:
		w.explainDecision(&e, found, health)
		w.explainEarliest(&e, found, health, time.Now())
	case found.Policy >= 0:
		e.Policy = found.Instance.Policies[found.Policy].Name
	}
	return e, nil
}

// explainDecision adds why the policy answers what it answers.
func (w *world) explainDecision(e *admin.Explanation, found *view.Explanation, health *healthcheck.Status) {
	d := found.Block.Decision
	e.Policy = found.Instance.Policies[found.Policy].Name
	if found.Block.Answering != found.Policy {
		e.FellThrough = found.Instance.Policies[found.Block.Answering].Name
		own := slot{Instance: slices.Index(w.instances, found.Instance), Policy: found.Policy, Family: found.Block.Family}
		e.PassedSets = w.setStatus(own, w.decision(own), health)
		for i := range e.PassedSets {
			set := &e.PassedSets[i]
			set.InForce = false // by itself it would fail open
			set.Verdict = fmt.Sprintf("not available: %d of %d addresses available, %d needed", set.UpAddresses, set.Addresses, set.Need)
			for j := range set.Members {
				set.Members[j].Served = false
			}
		}
	}
	e.InForce, e.Why, e.Since, e.Until = roleOf(d), string(d.Why), moment(d.Since), moment(d.Until)
	e.Sets = w.setStatus(slot{Instance: slices.Index(w.instances, found.Instance), Policy: found.Block.Answering, Family: found.Block.Family}, d, health)
	w.explainDistances(e, found, d)
	e.Choice = choice(found.Block.Answer)
}

// parseQuestion checks a question and fills in what it leaves out.
func parseQuestion(q *admin.Question) (view.Question, error) {
	var out view.Question
	if q.Name == "" {
		return out, fmt.Errorf("the name to explain is missing")
	}
	if _, ok := dns.IsDomainName(q.Name); !ok {
		return out, fmt.Errorf("%q is no domain name", q.Name)
	}
	q.Name = dns.Fqdn(q.Name)
	if q.Type == "" {
		q.Type = "A"
	}
	q.Type = strings.ToUpper(q.Type)
	qtype, known := dns.StringToType[q.Type]
	if !known {
		return out, fmt.Errorf("%q is no record type: want one such as A, AAAA, CNAME or TXT", q.Type)
	}
	out.Name, out.Type = q.Name, qtype
	out.Source = netip.AddrFrom4([4]byte{127, 0, 0, 1})
	if q.Client == "" {
		q.Client = out.Source.String()
		return out, nil
	}
	if prefix, err := netip.ParsePrefix(q.Client); err == nil {
		out.Subnet = prefix.Masked()
		return out, nil
	}
	source, err := netip.ParseAddr(q.Client)
	if err != nil {
		return out, fmt.Errorf("%q is no client: write an address (the packet's source) or a prefix such as 192.0.2.0/24 (a client subnet)", q.Client)
	}
	out.Source = source.Unmap().WithZone("")
	return out, nil
}

// texts writes each of a list on one line.
func texts[T fmt.Stringer](list []T) []string {
	all := make([]string, len(list))
	for i, v := range list {
		all[i] = strings.ReplaceAll(v.String(), "\t", " ")
	}
	return all
}

// lines lists the request sources that match the client with the policies that have them.
// The first with a policy is the one that counts: it is the policy that the plan found.
func (w *world) lines(found *view.Explanation, qtype uint16) []admin.LineMatch {
	family := policy.IPv4
	if qtype == dns.TypeAAAA {
		family = policy.IPv6
	}
	table := w.sourcesFor(slices.Index(w.instances, found.Instance), family)
	var all []admin.LineMatch
	chosen := false
	for _, m := range found.Matches {
		line := admin.LineMatch{Source: m.Selector.String(), Prefix: m.Prefix}
		if m.Database != nil {
			line.Database, line.Built = m.Database.Path, moment(m.Database.Built)
		}
		if i := slices.IndexFunc(table, func(of []geo.Selector) bool { return slices.Contains(of, m.Selector) }); i >= 0 {
			line.Policy, line.Chosen = found.Instance.Policies[i].Name, i == found.Policy && !chosen
			chosen = chosen || line.Chosen
		}
		all = append(all, line)
	}
	return all
}
