package mmdb

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/oschwald/maxminddb-golang/v2"
)

// reader reads records of a file as GeoLite2 lays them out, with nothing of package geo.
type reader struct{ db *maxminddb.Reader }

func open(tb interface {
	Helper()
	Fatal(...any)
	Cleanup(func())
}, path string) reader {
	tb.Helper()
	content, err := os.ReadFile(path)
	if err != nil {
		tb.Fatal(err)
	}
	db, err := maxminddb.OpenBytes(content)
	if err != nil {
		tb.Fatal(err)
	}
	if err := db.Verify(); err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(func() { db.Close() })
	return reader{db}
}

// known is what a file says of an address.
type known struct {
	Country, Subdivision string
	ASN                  uint32
}

type layout struct {
	Country struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"country"`
	Subdivisions []struct {
		ISOCode string `maxminddb:"iso_code"`
	} `maxminddb:"subdivisions"`
	ASN uint32 `maxminddb:"autonomous_system_number"`
}

func (r reader) lookup(tb interface {
	Helper()
	Fatal(...any)
}, addr netip.Addr) (known, netip.Prefix) {
	tb.Helper()
	result := r.db.Lookup(addr)
	var found layout
	if err := result.Decode(&found); err != nil {
		tb.Fatal(addr, err)
	}
	k := known{Country: found.Country.ISOCode, ASN: found.ASN}
	if len(found.Subdivisions) > 0 {
		k.Subdivision = found.Subdivisions[0].ISOCode
	}
	return k, result.Prefix()
}

// place writes a file into a directory and returns its path.
func place(tb testing.TB, dir, name, text string) string {
	tb.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		tb.Fatal(err)
	}
	return path
}

// testDate is the date of databases whose date does not matter.
var testDate = time.Date(2026, 6, 25, 0, 0, 0, 0, time.UTC)

// built builds a database of inputs and opens it.
func built(tb testing.TB, inputs ...Input) (*Built, reader) {
	tb.Helper()
	output := filepath.Join(tb.TempDir(), "out.mmdb")
	b, err := Build(BuildOptions{Output: output, Inputs: inputs, Date: testDate, Version: "test"})
	if err != nil {
		tb.Fatal(err)
	}
	return b, open(tb, output)
}

// buildError is the error of a build, with the directory of the inputs left out.
func buildError(tb testing.TB, dir string, o BuildOptions) string {
	tb.Helper()
	o.Output = filepath.Join(tb.TempDir(), "out.mmdb")
	_, err := Build(o)
	if err == nil {
		tb.Fatal("no error")
	}
	if _, statErr := os.Stat(o.Output); !errors.Is(statErr, os.ErrNotExist) {
		tb.Errorf("the output is there: %v", statErr)
	}
	return strings.ReplaceAll(err.Error(), dir+"/", "")
}
