package config

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"gtmd/policy"
)

// BusinessOptions is the [business] section: how it is checked that business domains lead to the CDN.
type BusinessOptions struct {
	// How often each business domain is resolved, a tenth more or less, to see where it leads; not more often than [resolver] min_ttl. 0s: never.
	CheckInterval time.Duration `toml:"check_interval" default:"5m" range:"0s..24h"`
	// Business domains that are not checked, such as the apex of a zone whose provider answers with the addresses of the CDN (ALIAS, ANAME): no CNAME is seen there.
	Except []string `toml:"except"`
}

// Validate reports an interval that is no pace for asking resolvers.
func (o *BusinessOptions) Validate(problem func(key, message string)) {
	if o.CheckInterval > 0 && o.CheckInterval < time.Second {
		problem("check_interval", fmt.Sprintf("%v is too short: want at least 1s, or 0s for never", o.CheckInterval))
	}
}

// checkBusiness checks [business] against the business domains of the instances.
func (k *checker) checkBusiness() {
	o := &k.config.File.Business
	var known []string
	for i := range k.config.File.Instances {
		for _, name := range k.config.File.Instances[i].BusinessDomains {
			known = append(known, plainName(name))
		}
	}
	for i := range o.Except {
		path := element("business.except", i)
		if !k.canonical(&o.Except[i], path, canonicalName) {
			continue
		}
		if name := plainName(o.Except[i]); !slices.Contains(known, name) {
			k.errorf(path, "there is no business domain %s%s", quote(name), k.choices(name, known, "business_domains of an [[instance]]"))
		}
	}
}

// checkCDNNames checks the names by which an instance knows its CDN.
func (k *checker) checkCDNNames(instance *policy.InstanceOptions, at string) {
	for i := range instance.CDNNames {
		name, path := &instance.CDNNames[i], element(at+".cdn_names", i)
		rest, isPattern := strings.CutPrefix(*name, "*.")
		if !k.canonical(&rest, path, canonicalName) {
			continue
		}
		if *name = rest; isPattern {
			*name = "*." + rest
		}
		if !isPattern && slices.Contains(instance.BusinessDomains, rest) {
			k.errorf(path, "%s is a business domain of the instance: want the name that the CDN gave for it", quote(plainName(rest)))
		}
	}
	if len(instance.CDNNames) > 0 && len(instance.BusinessDomains) == 0 {
		k.warnf(at+".cdn_names", "has no meaning without business_domains: remove it, or add those")
	}
}
