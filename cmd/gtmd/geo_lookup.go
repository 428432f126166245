package main

import (
	"errors"
	"fmt"
	"io"
	"net/netip"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"gtmd/geo"
)

// lookupJSON is what one database says of one address.
type lookupJSON struct {
	Address  netip.Addr `json:"address"`
	Database string     `json:"database"`
	Type     string     `json:"type"`
	Built    time.Time  `json:"built"`
	Network  string     `json:"network,omitempty"`
	Facts    factsJSON  `json:"facts"`
	text     string
}

// factsJSON are facts for scripts; what is not known is left out.
type factsJSON struct {
	Continent    string   `json:"continent,omitempty"`
	Country      string   `json:"country,omitempty"`
	Subdivisions []string `json:"subdivisions,omitempty"`
	City         string   `json:"city,omitempty"`
	CityID       uint32   `json:"city_geoname_id,omitempty"`
	Latitude     *float64 `json:"latitude,omitempty"`
	Longitude    *float64 `json:"longitude,omitempty"`
	ASN          uint32   `json:"asn,omitempty"`
	ISP          string   `json:"isp,omitempty"`
	Organization string   `json:"organization,omitempty"`
}

func factsOf(f *geo.Facts) factsJSON {
	j := factsJSON{Continent: f.Continent, Country: f.Country, Subdivisions: f.Subdivisions, City: f.City.Name, CityID: f.City.GeoNameID,
		ASN: f.ASN, ISP: f.ISP, Organization: f.Organization}
	if f.Place != nil {
		j.Latitude, j.Longitude = &f.Place.Latitude, &f.Place.Longitude
	}
	return j
}

func newGeoLookup() *cobra.Command {
	var files []string
	var file string
	var asJSON bool
	c := &cobra.Command{
		Use:   "lookup IP...",
		Short: "Say what databases know of an address",
		Long: `Say what each database knows of each address, and for which network it does: of the files
named with --database, else of those of the configuration. What a client gets, and which lines
match it, says gtmd explain.`,
		Example: `  gtmd geo lookup 192.0.2.1 2001:db8::1 --database country.mmdb
  gtmd geo lookup 192.0.2.1 --config /etc/gtmd/gtmd.toml`,
		Args: someArguments("an address"),
		RunE: func(c *cobra.Command, args []string) error {
			if len(files) > 0 && c.Flags().Changed("config") {
				return &exitError{exitUsage, errors.New("--database and --config: want one of them")}
			}
			addrs := make([]netip.Addr, len(args))
			for i, arg := range args {
				addr, err := netip.ParseAddr(arg)
				if err != nil || addr.Zone() != "" {
					return &exitError{exitUsage, fmt.Errorf("address %q: want an IPv4 or IPv6 address", arg)}
				}
				addrs[i] = addr
			}
			if len(files) == 0 {
				options, err := configuredGeo(file)
				if err != nil {
					return err
				}
				if files = options.Databases; len(files) == 0 {
					return fmt.Errorf("%s names no databases: want databases in its section [geo], or --database FILE", file)
				}
			}
			databases, err := readDatabases(files)
			if err != nil {
				return err
			}
			return geoLookup(c.OutOrStdout(), addrs, databases, asJSON)
		},
	}
	c.Flags().StringArrayVarP(&files, "database", "d", nil, "database to ask; may be given several times")
	c.Flags().StringVarP(&file, "config", "c", defaultConfig, "ask the databases of this configuration file")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func geoLookup(out io.Writer, addrs []netip.Addr, databases []*geo.Database, asJSON bool) error {
	var found []lookupJSON
	for _, addr := range addrs {
		for _, d := range databases {
			facts, prefix := d.Lookup(geo.Unfold(addr))
			l := lookupJSON{Address: addr, Database: d.Path, Type: d.Type, Built: d.Built.UTC(), text: "nothing"}
			if facts != nil {
				l.Facts, l.text = factsOf(facts), facts.String()
			}
			if prefix.IsValid() {
				l.Network = prefix.String()
			}
			found = append(found, l)
		}
	}
	if asJSON {
		return printJSON(out, found)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "ADDRESS\tDATABASE\tTYPE\tBUILT\tNETWORK\tKNOWS")
	for _, l := range found {
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\n", l.Address, l.Database, l.Type, l.Built.Format(time.DateOnly), orDash(l.Network), l.text)
	}
	return w.Flush()
}
