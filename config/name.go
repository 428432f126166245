package config

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/miekg/dns"
)

// canonicalName returns a domain name in lower case and fully qualified. The error says why the text is no name that can
// be configured: labels of letters, digits, hyphens and underscores (RFC 2181 section 11 allows more, this file does
// not), of at most 63 octets, together at most 253.
func canonicalName(text string) (string, error) {
	name := strings.ToLower(strings.TrimSuffix(text, "."))
	if name == "" {
		return "", fmt.Errorf("%s is no domain name: want one such as \"gtm.example.com\"", quote(text))
	}
	if len(name) > 253 {
		return "", fmt.Errorf("%s is no domain name: it has %d octets, want at most 253", quote(text), len(name))
	}
	if isAddress(name) {
		addr, _ := netip.ParseAddr(name)
		return "", fmt.Errorf("%s is an address: want a domain name such as \"gtm.example.com\"", addr)
	}
	for label := range strings.SplitSeq(name, ".") {
		switch {
		case label == "":
			return "", fmt.Errorf("%s is no domain name: it has an empty label", quote(text))
		case len(label) > 63:
			return "", fmt.Errorf("%s is no domain name: a label has %d octets, want at most 63", quote(text), len(label))
		case label == "*":
			return "", fmt.Errorf("%s is a wildcard: want a name of its own", quote(text))
		case strings.ContainsFunc(label, func(r rune) bool { return r > 127 }):
			return "", fmt.Errorf("%s is no domain name: want its ASCII form (xn--...)", quote(text))
		case strings.Trim(label, bareKey) != "":
			return "", fmt.Errorf("%s is no domain name: want letters, digits and hyphens in label %s", quote(text), quote(label))
		}
	}
	return name + ".", nil
}

// isAddress tells whether a text is an IP address.
func isAddress(text string) bool {
	if last := text[len(text)-1]; (last < '0' || last > '9') && !strings.Contains(text, ":") { // as most names
		return false
	}
	_, err := netip.ParseAddr(text)
	return err == nil
}

// canonicalHost is canonicalName for the name of a host, whose labels have no underscores and neither begin nor end
// with a hyphen (RFC 1123 section 2.1).
func canonicalHost(text string) (string, error) {
	name, err := canonicalName(text)
	if err != nil {
		return "", err
	}
	for label := range strings.SplitSeq(strings.TrimSuffix(name, "."), ".") {
		if strings.Contains(label, "_") || strings.HasPrefix(label, "-") || strings.HasSuffix(label, "-") {
			return "", fmt.Errorf("%s is no host name: want letters, digits and inner hyphens in label %s", quote(text), quote(label))
		}
	}
	return name, nil
}

// mailbox returns a mail address as the domain name that a SOA record holds (RFC 1035 section 8): the dots of the local
// part are escaped.
func mailbox(contact string) (string, error) {
	local, host, ok := strings.Cut(contact, "@")
	if !ok || !isLocalPart(local) {
		return "", fmt.Errorf("%s is no mail address: want one such as \"hostmaster@example.com\"", quote(contact))
	}
	host, err := canonicalHost(host)
	if err != nil {
		return "", fmt.Errorf("mail address %s: %w", quote(contact), err)
	}
	name := strings.ReplaceAll(local, ".", `\.`) + "." + host
	if _, legal := dns.IsDomainName(name); !legal {
		return "", fmt.Errorf("mail address %s does not fit into a SOA record: want a shorter one", quote(contact))
	}
	return name, nil
}

// isLocalPart tells whether text is a dot-atom (RFC 5322 section 3.2.3) that needs no escape in a domain name but for
// its dots.
func isLocalPart(text string) bool {
	for atom := range strings.SplitSeq(text, ".") {
		if atom == "" || strings.Trim(atom, bareKey+"!#%&'*+/=?^`{|}~") != "" {
			return false
		}
	}
	return true
}
