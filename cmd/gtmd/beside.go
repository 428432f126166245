package main

import (
	"context"
	"fmt"
	"net/url"

	"gtmd/admin"
)

// readStatus asks the running gtmd for its status, and for what is not normal that the status does not have.
func readStatus(ctx context.Context, daemon *client, status *admin.Status) ([]trouble, error) {
	if err := daemon.get(ctx, "/api/v1/status", nil, status); err != nil {
		return nil, err
	}
	var alerts admin.AlertStatus
	if err := daemon.get(ctx, "/api/v1/alerts", nil, &alerts); err != nil {
		return nil, err
	}
	domains, err := readDomains(ctx, daemon)
	if err != nil {
		return nil, err
	}
	return append(undelivered(&alerts), unconfigured(domains)...), nil
}

// undelivered are the methods by which nobody is told now.
func undelivered(s *admin.AlertStatus) (all []trouble) {
	for i := range s.Groups {
		for _, m := range s.Groups[i].Methods {
			if m.Error != "" {
				all = append(all, trouble{troubled, fmt.Sprintf("alert group %s is NOT TOLD by %s, %s: %s", s.Groups[i].Name, m.Name, plural(m.Queued, "message waits", "messages wait"), m.Error)})
			}
		}
	}
	return all
}

// unconfigured are the business domains that do not lead to the CDN, or of which that is not known.
func unconfigured(domains []admin.BusinessDomainStatus) (all []trouble) {
	for i := range domains {
		d := &domains[i]
		switch d.State {
		case admin.NotConfigured:
			all = append(all, trouble{troubled, fmt.Sprintf("business domain %s of %s: NOT CONFIGURED for %s: %s", d.Domain, d.Instance, ageOf(d.Since), d.Reason)})
		case admin.ConfigUnknown:
			all = append(all, trouble{notable, fmt.Sprintf("business domain %s of %s: UNKNOWN for %s: %s", d.Domain, d.Instance, ageOf(d.Since), d.Reason)})
		}
	}
	return all
}

// readDomains are all business domains, as they were when they were last resolved.
func readDomains(ctx context.Context, daemon *client) ([]admin.BusinessDomainStatus, error) {
	domains := []admin.BusinessDomainStatus{}
	err := eachPage(url.Values{}, func(query url.Values) (int, bool, error) {
		var page admin.BusinessDomainList
		err := daemon.get(ctx, "/api/v1/business-domains", query, &page)
		domains = append(domains, page.Domains...)
		return len(page.Domains), page.More, err
	})
	return domains, err
}
