package node

import (
	"fmt"
	"strings"

	"gtmd/policy"
)

// choice says in words how one query's answer is chosen.
func choice(a policy.Answer) string {
	if len(a.Groups) == 0 {
		return "nothing is answered"
	}
	total := uint64(0)
	for _, g := range a.Groups {
		total += g.Weight
	}
	var parts []string
	for _, g := range a.Groups {
		text := groupChoice(g)
		if len(a.Groups) > 1 {
			text = fmt.Sprintf("%s of the queries: %s", share(g.Weight, total), text)
		}
		parts = append(parts, text)
	}
	return strings.Join(parts, "; ")
}

func groupChoice(g policy.Group) string {
	total := uint64(0)
	for _, r := range g.Records {
		total += r.Weight
	}
	var shares []string
	for _, r := range g.Records {
		shares = append(shares, fmt.Sprintf("%s %s", r.Address.Name, share(r.Weight, total)))
	}
	switch {
	case len(g.Records) == 1:
		return g.Records[0].Address.Name
	case g.Balance == policy.BalanceWeight:
		return "one by weight: " + strings.Join(shares, ", ")
	case g.Balance == policy.BalanceSticky:
		return "one by the client's network: " + strings.Join(shares, ", ")
	case g.MaxAnswers > 0 && g.MaxAnswers < len(g.Records):
		return fmt.Sprintf("%d of %d addresses, another start each time", g.MaxAnswers, len(g.Records))
	default:
		return fmt.Sprintf("all %d addresses, another order each time", len(g.Records))
	}
}

func share(part, total uint64) string {
	if total == 0 {
		return "0%"
	}
	return fmt.Sprintf("%.4g%%", 100*float64(part)/float64(total))
}
