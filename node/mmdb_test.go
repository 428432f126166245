package node_test

import (
	"bytes"
	"fmt"
	"net"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"
)

// built is when the databases of the tests were put together, but for those of a test about age.
var built = time.Now().Add(-24 * time.Hour).Truncate(time.Second)

// mmdb makes a database of a type. Each row is a network and what is known of it: "198.51.100.0/24 JP" in a City database
// (a country, and perhaps a subdivision and a place as "35.7,139.7"), "192.0.2.0/24 4134" in an ASN database. Without
// anything it is one that says nothing of places and operators.
func mmdb(t testing.TB, kind string, built time.Time, rows ...string) []byte {
	t.Helper()
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		DatabaseType: kind, BuildEpoch: built.Unix(), IncludeReservedNetworks: true, DisableIPv4Aliasing: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, row := range rows {
		words := strings.Fields(row)
		_, network, err := net.ParseCIDR(words[0])
		if err != nil {
			t.Fatal(err)
		}
		if err := tree.Insert(network, mmdbRecord(t, kind, words[1:])); err != nil {
			t.Fatal(err)
		}
	}
	var b bytes.Buffer
	if _, err := tree.WriteTo(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func mmdbRecord(t testing.TB, kind string, words []string) mmdbtype.Map {
	t.Helper()
	if strings.HasSuffix(kind, "ASN") {
		var asn uint32
		if _, err := fmt.Sscan(words[0], &asn); err != nil {
			t.Fatal(err)
		}
		return mmdbtype.Map{"autonomous_system_number": mmdbtype.Uint32(asn)}
	}
	if len(words) == 0 {
		return mmdbtype.Map{"is_anonymous": mmdbtype.Bool(true)}
	}
	record := mmdbtype.Map{"country": mmdbtype.Map{"iso_code": mmdbtype.String(words[0])}}
	for _, word := range words[1:] {
		var latitude, longitude float64
		if n, _ := fmt.Sscanf(word, "%g,%g", &latitude, &longitude); n == 2 {
			record["location"] = mmdbtype.Map{"latitude": mmdbtype.Float64(latitude), "longitude": mmdbtype.Float64(longitude)}
		} else {
			record["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(word)}}
		}
	}
	return record
}

// put replaces a file of the site as those who publish databases do: at once.
func (s *site) put(name string, content []byte) {
	s.t.Helper()
	temporary := s.path(name + ".download")
	if err := os.WriteFile(temporary, content, 0o600); err != nil {
		s.t.Fatal(err)
	}
	if err := os.Rename(temporary, s.path(name)); err != nil {
		s.t.Fatal(err)
	}
}

// overwrite replaces the content of a file of the site in place.
func (s *site) overwrite(name string, content []byte) {
	s.t.Helper()
	if err := os.WriteFile(s.path(name), content, 0o600); err != nil {
		s.t.Fatal(err)
	}
}

// worldIn is a City database of two halves of IPv4: the lower one is in Japan, the upper one in the country given.
func worldIn(t testing.TB, upper string) []byte {
	t.Helper()
	return mmdb(t, "GeoLite2-City", built, "0.0.0.0/1 JP 13 35.7,139.7", "128.0.0.0/1 "+upper, "2000::/4 JP")
}
