package main

import (
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"gtmd/config"
	"gtmd/geo"
)

func newGeo() *cobra.Command {
	c := &cobra.Command{
		Use:   "geo",
		Short: "Make, check and compare geographic databases",
		Long: `Databases of the MaxMind DB format (mmdb) say where clients are. They are named in the
configuration: [geo] databases = [...]. These commands need no running gtmd.`,
		Args: noArguments,
		RunE: func(c *cobra.Command, _ []string) error { return c.Help() },
	}
	c.AddCommand(newGeoBuild(), newGeoLookup(), newGeoVerify(), newGeoDiff())
	return c
}

// databaseJSON is a database for scripts.
type databaseJSON struct {
	Path        string    `json:"path"`
	Type        string    `json:"type"`
	Built       time.Time `json:"built"`
	AgeDays     int       `json:"age_days"`
	Description string    `json:"description"`
	Size        int64     `json:"size"`
	SHA256      string    `json:"sha256"`
	Networks4   int       `json:"networks_ipv4"`
	Networks6   int       `json:"networks_ipv6"`
	Covered4    float64   `json:"covered_ipv4"`
	Covered6    float64   `json:"covered_ipv6"`
	Knows       []string  `json:"knows"`
}

func databaseOf(d *geo.Database) databaseJSON {
	return databaseJSON{d.Path, d.Type, d.Built.UTC(), daysSince(d.Built), d.Description, d.Size, d.Hash, d.Networks4, d.Networks6,
		d.Covered4, d.Covered6, fieldsOf(d.Knows)}
}

// daysSince is how many whole days have passed; 0 for a time to come.
func daysSince(t time.Time) int { return int(max(time.Since(t), 0) / (24 * time.Hour)) }

// fieldsOf names the fields of a database.
func fieldsOf(k geo.Knowledge) []string {
	names := []string{}
	for _, field := range []struct {
		k    geo.Knowledge
		name string
	}{
		{geo.KnowsContinent, "continent"}, {geo.KnowsCountry, "country"}, {geo.KnowsSubdivision, "subdivision"},
		{geo.KnowsCity, "city"}, {geo.KnowsPlace, "coordinates"}, {geo.KnowsASN, "AS number"}, {geo.KnowsISP, "ISP"},
	} {
		if k&field.k != 0 {
			names = append(names, field.name)
		}
	}
	return names
}

// readDatabases reads the databases at the paths.
func readDatabases(paths []string) ([]*geo.Database, error) {
	all := make([]*geo.Database, len(paths))
	for i, path := range paths {
		d, err := geo.ReadDatabase(path)
		if err != nil {
			return nil, err
		}
		all[i] = d
	}
	return all, nil
}

// configuredGeo is the [geo] section of a configuration file.
func configuredGeo(file string) (geo.Options, error) {
	loaded, err := config.Load(file)
	if err != nil {
		return geo.Options{}, err
	}
	return loaded.File.Geo, nil
}

// percent writes a share of 0..1.
func percent(share float64) string {
	switch {
	case share > 0 && share < 0.00005:
		return "< 0.01 %"
	case share < 1 && share > 0.99995:
		return "> 99.99 %"
	}
	return fmt.Sprintf("%.2f %%", 100*share)
}

// octets writes a size.
func octets(n int64) string {
	switch {
	case n < 10_000:
		return fmt.Sprintf("%d octets", n)
	case n < 1_000_000:
		return fmt.Sprintf("%.1f kB", float64(n)/1e3)
	}
	return fmt.Sprintf("%.1f MB", float64(n)/1e6)
}

// grouped writes a number with commas between thousands.
func grouped(n int) string {
	text := fmt.Sprint(n)
	var b strings.Builder
	for i, digit := range text {
		if i > 0 && (len(text)-i)%3 == 0 {
			b.WriteByte(',')
		}
		b.WriteRune(digit)
	}
	return b.String()
}

// networks is a number of networks.
func networks(n int) string {
	if n == 1 {
		return "1 network"
	}
	return grouped(n) + " networks"
}

// isTerminal reports whether a person looks at the file.
func isTerminal(f *os.File) bool {
	info, err := f.Stat()
	return err == nil && info.Mode()&os.ModeCharDevice != 0
}
