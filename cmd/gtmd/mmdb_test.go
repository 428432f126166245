package main

import (
	"net"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
	"github.com/rogpeppe/go-internal/testscript"
)

// writeDatabase is the script command "mmdb". In a row a country is two letters, a subdivision of CN one such as CN-GD, a place
// such as 35.7,139.7, and the number of an autonomous system such as AS4134.
func writeDatabase(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: mmdb FILE ROWS")
	}
	rows := strings.Split(strings.TrimSpace(ts.ReadFile(args[1])), "\n")
	kind, day, _ := strings.Cut(rows[0], " ")
	built, err := time.Parse(time.DateOnly, day)
	ts.Check(err)
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, BuildEpoch: built.Unix(), IncludeReservedNetworks: true, DisableIPv4Aliasing: true,
	})
	ts.Check(err)
	for _, row := range rows[1:] {
		words := strings.Fields(row)
		_, network, err := net.ParseCIDR(words[0])
		ts.Check(err)
		ts.Check(tree.Insert(network, mmdbRecord(ts, words[1:])))
	}
	f, err := os.Create(ts.MkAbs(args[0]))
	ts.Check(err)
	_, err = tree.WriteTo(f)
	ts.Check(err)
	ts.Check(f.Close())
}

func mmdbRecord(ts *testscript.TestScript, words []string) mmdbtype.Map {
	record := mmdbtype.Map{}
	for _, word := range words {
		latitude, longitude, isPlace := strings.Cut(word, ",")
		number, isNumber := strings.CutPrefix(word, "AS")
		code, isSubdivision := strings.CutPrefix(word, "CN-")
		switch {
		case isPlace:
			location := mmdbtype.Map{}
			for key, text := range map[mmdbtype.String]string{"latitude": latitude, "longitude": longitude} {
				degrees, err := strconv.ParseFloat(text, 64)
				ts.Check(err)
				location[key] = mmdbtype.Float64(degrees)
			}
			record["location"] = location
		case isNumber:
			asn, err := strconv.ParseUint(number, 10, 32)
			ts.Check(err)
			record["autonomous_system_number"] = mmdbtype.Uint32(asn)
		case isSubdivision:
			record["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
		default:
			record["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(word)}
		}
	}
	return record
}
