package config

import (
	"net/netip"
	"slices"

	"gtmd/server"
)

// shortSecret is the number of octets below which the secret of a TSIG key is worth a warning (RFC 2104 section 3, RFC 8945 section 8).
const shortSecret = 16

// checkKeys makes the names of the TSIG keys canonical, and reads their secrets.
func (k *checker) checkKeys() {
	options := k.config.File.Keys
	names := make([]string, len(options))
	for i := range options {
		o, at := &options[i], element("tsig_key", i)
		if k.canonical(&o.Name, at+".name", canonicalName) {
			names[i] = o.Name
		}
		if o.SecretFile == "" {
			continue
		}
		k.resolve(&o.SecretFile, at+".secret_file")
		secret, err := readSecret(o.SecretFile)
		if err != nil {
			k.errorf(at+".secret_file", "%v", err)
			continue
		}
		key, err := server.NewKey(*o, secret)
		if err != nil {
			k.errorf(at+".secret_file", "%s: %v", o.SecretFile, err)
			continue
		}
		if key.SecretLen() < shortSecret {
			k.warnf(at+".secret_file", "the secret of TSIG key %s has %d octets, which can be guessed: want at least %d, such as the output of: openssl rand -base64 32",
				quote(key.String()), key.SecretLen(), shortSecret)
		}
		k.config.Keys = append(k.config.Keys, key)
	}
	k.keys = k.unique("TSIG key", names, func(i int) string { return element("tsig_key", i) + ".name" })
}

// checkTransfers checks what zones say of their secondaries.
func (k *checker) checkTransfers() {
	used := map[string]bool{}
	for i := range k.config.File.Zones {
		zone, at := &k.config.File.Zones[i], element("zone", i)
		unique(k, at+".transfer_to", zone.TransferTo, func(n server.Network) string { return netip.Prefix(n).String() })
		unique(k, at+".notify", zone.Notify, server.Peer.String)
		for j := range zone.TransferKeys {
			k.keyName(&zone.TransferKeys[j], element(at+".transfer_keys", j))
			used[zone.TransferKeys[j]] = true
		}
		unique(k, at+".transfer_keys", zone.TransferKeys, plainName)
		if zone.NotifyKey != "" {
			k.keyName(&zone.NotifyKey, at+".notify_key")
			used[zone.NotifyKey] = true
			if len(zone.Notify) == 0 {
				k.warnf(at+".notify_key", "notify_key is set, and notify names no secondary that would be told")
			}
		}
		if len(zone.Notify) > 0 && len(zone.TransferTo) == 0 && len(zone.TransferKeys) == 0 {
			k.warnf(at+".notify", "secondaries are told of changes, and may not transfer the zone: set transfer_to or transfer_keys")
		}
		if zone.Serial != 0 && zone.IsExported() {
			k.warnf(at+".serial", "serial is set, and moves up from there with each change of health: should the saved state be lost, "+
				"it would go back, and secondaries would keep what they have; want 0 for a zone that has secondaries")
		}
	}
	for i, o := range k.config.File.Keys {
		if o.Name != "" && !used[o.Name] {
			k.warnf(element("tsig_key", i), "TSIG key %s is not used by any zone", quote(plainName(o.Name)))
		}
	}
}

// keyName makes the name of a TSIG key canonical, and reports one that there is not.
func (k *checker) keyName(name *string, path string) {
	if !k.canonical(name, path, canonicalName) {
		return
	}
	if _, known := k.keys.first[*name]; known || k.keys.nameless {
		return
	}
	known := make([]string, len(k.keys.names))
	for i, name := range k.keys.names {
		known[i] = plainName(name)
	}
	k.errorf(path, "there is no TSIG key %s%s", quote(plainName(*name)), k.choices(plainName(*name), known, "[[tsig_key]]"))
}

// unique reports what a list has twice.
func unique[T comparable](k *checker, path string, list []T, text func(T) string) {
	for i, item := range list {
		if j := slices.Index(list, item); j < i {
			k.errorf(element(path, i), "%s is listed already as number %d of this list", text(item), j+1)
		}
	}
}
