package geo

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"iter"
	"math"
	"net/netip"
	"os"
	"strings"
	"syscall"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/oschwald/geoip2-golang/v2"
	"github.com/oschwald/maxminddb-golang/v2"
)

// A Database is one file of the MaxMind DB format, held in memory. It is immutable and safe for concurrent use.
// [ReadDatabase] and [NewDatabase] make it.
type Database struct {
	// Path is the file as the configuration names it.
	Path string
	// Type is the database_type of the metadata, such as "GeoLite2-City".
	Type string
	// Description is the English description of the metadata; "gtmd geo build" puts source, date and licence there.
	Description string
	// Built is when the data was put together (build_epoch of the metadata).
	Built time.Time
	// Hash is the SHA-256 of the file, in hexadecimal.
	Hash string
	// Size of the file, in octets.
	Size int64
	// Networks is how many networks have a record, by family; Covered how much of the space of the family they are, 0..1: of
	// all of IPv4, and of 2000::/3 in IPv6.
	Networks4, Networks6 int
	Covered4, Covered6   float64
	// Knows are the fields that some record has.
	Knows Knowledge

	content []byte
	reader  *maxminddb.Reader
	// known decodes the types of GeoIP2, GeoLite2 and DB-IP; nil for another type.
	known *geoip2.Reader
	lists subdivisionLists
	// oneRecord4 is set when all of IPv4 is one network with a record.
	oneRecord4 bool
}

// maxDatabaseSize is the size in octets above which a file is not read. The largest databases on sale have 1 GB.
const maxDatabaseSize = 4 << 30

// maxBuilt is the last second of the year 9999, after which a time cannot be written as RFC 3339 any more.
const maxBuilt = 253402300799

// ReadDatabase reads and checks a file. It is read into memory and never mapped: a mapped file that somebody truncates kills
// the process. The error says what is wrong with the file.
func ReadDatabase(path string) (*Database, error) {
	content, err := readRegular(path)
	if err != nil {
		return nil, fmt.Errorf("geo database %q: %w", path, err)
	}
	return NewDatabase(path, content)
}

// readRegular reads a regular file. What is looked at is what is read, also when somebody replaces the file meanwhile.
func readRegular(path string) ([]byte, error) {
	// Opening a FIFO without O_NONBLOCK would wait for somebody who writes to it.
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if errors.Is(err, syscall.ENXIO) {
		return nil, errors.New("it is no regular file (a socket or a device)")
	}
	if err != nil {
		return nil, withoutPath(err)
	}
	defer f.Close()
	info, err := f.Stat()
	switch {
	case err != nil:
		return nil, withoutPath(err)
	case info.IsDir():
		return nil, errors.New("it is a directory, want a file such as GeoLite2-City.mmdb")
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("it is no regular file (%s)", info.Mode().Type())
	case info.Size() > maxDatabaseSize:
		return nil, fmt.Errorf("it has %d octets, more than the %d that are read", info.Size(), int64(maxDatabaseSize))
	}
	content := make([]byte, info.Size()+1)
	n, err := io.ReadFull(f, content)
	switch {
	case err == nil:
		return nil, fmt.Errorf("it had %d octets and then more: somebody is writing it", info.Size())
	case !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF):
		return nil, withoutPath(err)
	case int64(n) != info.Size():
		return nil, fmt.Errorf("it had %d octets and then %d: somebody is writing it", info.Size(), n)
	}
	return content[:n], nil
}

// withoutPath takes the path out of an error of package os, which the message has already.
func withoutPath(err error) error {
	if detail := new(fs.PathError); errors.As(err, &detail) {
		return detail.Err
	}
	return err
}

// NewDatabase checks the content of a file: every network and every record of it is read once. Path is for messages. The
// Database keeps content, which nobody may change any more.
func NewDatabase(path string, content []byte) (*Database, error) {
	d := &Database{Path: path, Size: int64(len(content)), content: content}
	if err := d.open(content); err != nil {
		return nil, fmt.Errorf("geo database %q: %w", path, err)
	}
	sum := sha256.Sum256(content)
	d.Hash = hex.EncodeToString(sum[:])
	return d, nil
}

// open does the checks of NewDatabase. A panic of a library on content that is damaged becomes an error.
func (d *Database) open(content []byte) (err error) {
	defer func() {
		if r := recover(); r != nil {
			err = fmt.Errorf("it is damaged: reading it ended in %v", r)
		}
	}()
	if err := sniff(content); err != nil {
		return err
	}
	if d.reader, err = maxminddb.OpenBytes(content); err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	if err := d.takeMetadata(d.reader.Metadata); err != nil {
		return err
	}
	if err := checkTree(content, d.reader.Metadata); err != nil {
		return fmt.Errorf("it is damaged: %w", err)
	}
	all4 := d.reader.Lookup(netip.IPv4Unspecified())
	d.oneRecord4 = all4.Found() && prefix4(all4.Prefix()).Bits() == 0
	// The one error that is left here is that of an unknown type.
	if known, err := geoip2.OpenBytes(content); err == nil {
		d.known = known
	}
	return d.survey()
}

// metadataMarker is in front of the metadata, near the end of every file (MaxMind DB File Format Specification 2.0).
const metadataMarker = "\xAB\xCD\xEFMaxMind.com"

// sniff says what a file is that has no metadata; nil for one that has.
func sniff(content []byte) error {
	const tarMagic, tarMagicAt = "ustar", 257
	if bytes.LastIndex(content, []byte(metadataMarker)) >= 0 {
		return nil
	}
	what := "a truncated download?"
	switch {
	case len(content) == 0:
		return errors.New("it has 0 octets")
	case bytes.HasPrefix(content, []byte("\x1f\x8b")):
		what = "it is compressed with gzip: unpack it"
	case bytes.HasPrefix(content, []byte("PK\x03\x04")):
		what = "it is a zip archive: unpack it"
	case len(content) > tarMagicAt && bytes.HasPrefix(content[tarMagicAt:], []byte(tarMagic)):
		what = "it is a tar archive: unpack the .mmdb in it"
	case isText(content):
		what = "it is text: the error page of a download? (CSV and the like become a database with: gtmd geo build)"
	}
	return fmt.Errorf("it is not in the MaxMind DB format (no metadata marker): %s", what)
}

// isText reports whether the start of a file is text: UTF-8 without control characters.
func isText(content []byte) bool {
	head := content[:min(len(content), 512)]
	for len(head) > 0 {
		r, size := utf8.DecodeRune(head)
		// The last rune of the head may be cut in two.
		if r == utf8.RuneError && len(head) >= utf8.UTFMax || r < ' ' && r != '\t' && r != '\n' && r != '\r' {
			return false
		}
		head = head[size:]
	}
	return true
}

// takeMetadata checks the metadata and fills the fields that come from it.
func (d *Database) takeMetadata(m maxminddb.Metadata) error {
	switch {
	case m.BinaryFormatMajorVersion != 2:
		return fmt.Errorf("it has version %d of the MaxMind DB format, want 2", m.BinaryFormatMajorVersion)
	case m.DatabaseType == "":
		return errors.New("it is damaged: it has no database_type")
	case !isPlain(m.DatabaseType):
		return fmt.Errorf("it is damaged: database_type is %q, want plain text", m.DatabaseType)
	case m.IPVersion != 4 && m.IPVersion != 6:
		return fmt.Errorf("it is damaged: ip_version is %d, want 4 or 6", m.IPVersion)
	case m.BuildEpoch > maxBuilt:
		return fmt.Errorf("it is damaged: build_epoch is %d, want seconds since 1970", m.BuildEpoch)
	}
	d.Type, d.Description, d.Built = m.DatabaseType, m.Description["en"], m.BuildTime().UTC()
	d.Description = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(d.Description, "\uFFFD"))
	return nil
}

// isPlain reports whether a text can stand on a line of a terminal, in JSON and in the label of a metric: UTF-8 without
// control characters.
func isPlain(text string) bool {
	return utf8.ValidString(text) && !strings.ContainsFunc(text, unicode.IsControl)
}

// survey reads every network, and every record once, and fills the fields that come from them.
func (d *Database) survey() error {
	seen := newBitset(uint(d.Size))
	var noMap netip.Prefix // a network whose record is no map of fields
	for r, err := range d.records() {
		if err != nil {
			return fmt.Errorf("it is damaged: %w", err)
		}
		if r.prefix.Addr().Is4() {
			d.Networks4++
			d.Covered4 += math.Ldexp(1, -r.prefix.Bits())
		} else {
			d.Networks6++
			d.Covered6 += shareOfGlobal6(r.prefix)
		}
		if seen.add(uint(r.id)) {
			continue
		}
		known, err := d.decode(r.id)
		if err != nil {
			return fmt.Errorf("it is damaged: the record of %v: %w", r.prefix, err)
		}
		if known.noMap {
			noMap = r.prefix
		}
		d.Knows |= known.facts(&d.lists).Knows()
	}
	switch {
	case d.Networks4+d.Networks6 == 0:
		return errors.New("it has no network")
	case d.Knows == 0:
		return fmt.Errorf("type %q has neither locations nor networks' operators: want City, Country, ASN or ISP", d.Type)
	case noMap.IsValid():
		return fmt.Errorf("it is damaged: the record of %v is no map of fields", noMap)
	}
	return nil
}

// global6 is what IANA assigns global unicast addresses of IPv6 from (RFC 4291 section 2.4).
var global6 = netip.MustParsePrefix("2000::/3")

// shareOfGlobal6 is how much of 2000::/3 is in a prefix.
func shareOfGlobal6(prefix netip.Prefix) float64 {
	if !prefix.Overlaps(global6) {
		return 0
	}
	return math.Ldexp(1, -max(0, prefix.Bits()-global6.Bits()))
}

// Content is the file as it was read. The caller must not change it.
func (d *Database) Content() []byte { return d.content }

// holding4 is where a file of both families has its IPv4 networks. They say nothing of the IPv6 addresses there, of which ::1 is one.
var holding4 = netip.MustParsePrefix("::/96")

// Lookup returns what the database knows of an address, and the widest network around it that has the same record, or has
// none: then nothing is known. The network is of the family of the address. An IPv4-only database has no record for all
// of ::/0. IPv6 addresses that hold an IPv4 address are not unfolded here. The prefix of the zero Addr is the zero one.
// Lookup is for explanations: it allocates.
func (d *Database) Lookup(addr netip.Addr) (*Facts, netip.Prefix) {
	addr = addr.WithZone("")
	if !addr.IsValid() {
		return &Facts{}, netip.Prefix{}
	}
	result := d.reader.Lookup(addr)
	prefix := result.Prefix()
	switch {
	case addr.Is4():
		prefix = prefix4(prefix)
	case holding4.Contains(addr) && prefix.Bits() >= holding4.Bits():
		return &Facts{}, holding4
	}
	if !result.Found() {
		return &Facts{}, prefix
	}
	var r raw
	if err := result.Decode(&r); err != nil {
		return &Facts{}, prefix
	}
	if byLibrary, ok := d.lookupKnown(addr); ok {
		r = byLibrary.or(&r)
	}
	return r.facts(&d.lists), prefix
}

// prefix4 is a network of the library, which it names in IPv6 when it is wider than all of IPv4, as one of IPv4.
func prefix4(prefix netip.Prefix) netip.Prefix {
	if prefix.Addr().Is4() {
		return prefix
	}
	return netip.PrefixFrom(netip.IPv4Unspecified(), 0)
}

// record is a network of a database. Networks with the same id have the same facts.
type record struct {
	prefix netip.Prefix
	id     uintptr
}

// records yields the networks that have a record: those of IPv4 first (as IPv4 prefixes), each family in address order,
// disjoint. Aliases of the IPv4 tree in IPv6 are left out. An error ends it: yielded with the zero record.
func (d *Database) records() iter.Seq2[record, error] {
	var options []maxminddb.NetworksOption
	if d.oneRecord4 {
		// The library takes every network that has the record of all of IPv4 for an alias.
		options = append(options, maxminddb.IncludeAliasedNetworks())
	}
	return func(yield func(record, error) bool) {
		for result := range d.reader.Networks(options...) {
			if err := result.Err(); err != nil {
				yield(record{}, err)
				return
			}
			r := record{result.Prefix(), result.Offset()}
			// A network around all of ::/96, where a file has IPv4, is one of both families.
			if r.prefix.Addr().Is6() && r.prefix.Bits() < 96 && r.prefix.Addr() == netip.IPv6Unspecified() {
				if !yield(record{netip.PrefixFrom(netip.IPv4Unspecified(), 0), r.id}, nil) {
					return
				}
			}
			if !yield(r, nil) {
				return
			}
		}
	}
}

// facts decodes the record with an id. The caller owns the Facts; its Subdivisions are shared. It does not remember.
func (d *Database) facts(id uintptr) (*Facts, error) {
	r, err := d.decode(id)
	if err != nil {
		return nil, fmt.Errorf("geo database %q: record at offset %d: %w", d.Path, id, err)
	}
	return r.facts(&d.lists), nil
}

func (d *Database) decode(id uintptr) (*raw, error) {
	r := new(raw)
	return r, d.reader.LookupOffset(id).Decode(r)
}
