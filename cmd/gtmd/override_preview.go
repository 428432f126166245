package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"

	"gtmd/admin"
)

// preview prints what an override, or the end of one, would change. The exit code is 1 when it would be refused.
func preview(c *cobra.Command, daemon *client, request admin.PreviewRequest, asJSON bool) error {
	var p admin.Preview
	if err := daemon.post(c.Context(), "/api/v1/overrides/preview", request, &p); err != nil {
		return err
	}
	isRefused := p.Refused != "" && !(request.Set != nil && request.Set.Force)
	var err error
	if asJSON {
		err = printJSON(c.OutOrStdout(), p)
	} else {
		_, err = fmt.Fprint(c.OutOrStdout(), previewText(&p, isRefused))
	}
	if err == nil && isRefused {
		return &exitError{code: exitNegative}
	}
	return err
}

// previewText says what would change for each policy, one on a line.
func previewText(p *admin.Preview, isRefused bool) string {
	var b strings.Builder
	changes := 0
	for i := range p.Policies {
		one := &p.Policies[i]
		fmt.Fprintf(&b, "%s, %s, %s: %s", one.Instance, one.Policy, one.Family, setPreviewText(&one.Before))
		if one.Changes {
			changes++
			fmt.Fprintf(&b, " -> %s\n", setPreviewText(&one.After))
		} else {
			b.WriteString(", as before\n")
		}
	}
	if p.Replaces != nil {
		fmt.Fprintf(&b, "it would replace %s: %s is %s\n", p.Replaces.ID, p.Replaces.OverrideTarget, forced(p.Replaces))
	}
	switch {
	case isRefused:
		b.WriteString(p.Refused + "\n")
	case p.Refused != "":
		b.WriteString("without --force: " + p.Refused + "\n")
	}
	fmt.Fprintf(&b, "on %s; %d of %d policies would answer something else; nothing was changed\n", plural(p.Affects, "address", "addresses"), changes, len(p.Policies))
	return b.String()
}

// setPreviewText is a set with what it serves: "primary (normal) 192.0.2.1 192.0.2.2".
func setPreviewText(s *admin.SetPreview) string {
	text := fmt.Sprintf("%s (%s)", s.Role, s.Why)
	for i, address := range s.Addresses {
		if i == maxShownAddresses {
			return fmt.Sprintf("%s and %d more", text, len(s.Addresses)-i)
		}
		text += " " + address
	}
	return text
}

// maxShownAddresses is how many addresses of a set a line shows.
const maxShownAddresses = 8
