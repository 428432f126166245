package mmdb

import (
	"errors"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"

	"github.com/maxmind/mmdbwriter"
	"github.com/maxmind/mmdbwriter/mmdbtype"

	"gtmd/geo"
)

// write writes the runs to the file that built names, and counts them there.
func write(built *Built, families ...[]run) error {
	tree, err := mmdbwriter.New(mmdbwriter.Options{
		BuildEpoch: built.Date.Unix(), DatabaseType: built.Type, Description: map[string]string{"en": built.Description},
		Languages: []string{"en"}, DisableIPv4Aliasing: true, IncludeReservedNetworks: true,
	})
	if err != nil {
		return err
	}
	records := map[facts]mmdbtype.Map{}
	for _, runs := range families {
		for _, r := range runs {
			if records[r.facts] == nil {
				records[r.facts] = r.facts.record()
			}
			for prefix := range r.prefixes() {
				if err := tree.Insert(ipNet(prefix), records[r.facts]); err != nil {
					return err
				}
				if r.width == 32 {
					built.Networks4++
				} else {
					built.Networks6++
				}
			}
			built.Covered.add(extentOf(r.width == 32, r.from, r.to))
		}
	}
	built.Size, err = replace(built.Path, func(f *os.File) (int64, error) {
		size, err := tree.WriteTo(f)
		if err != nil {
			return 0, err
		}
		_, err = geo.ReadDatabase(f.Name()) // what the server would not take never takes the place of what it has
		return size, err
	})
	return err
}

// record is what the file holds for the facts, in the fields of GeoLite2.
func (f facts) record() mmdbtype.Map {
	m := mmdbtype.Map{}
	if f.country != [2]byte{} {
		m["country"] = mmdbtype.Map{"iso_code": mmdbtype.String(f.country[:])}
	}
	if f.subdivision != [3]byte{} {
		code := strings.TrimRight(string(f.subdivision[:]), "\x00")
		m["subdivisions"] = mmdbtype.Slice{mmdbtype.Map{"iso_code": mmdbtype.String(code)}}
	}
	if f.asn != 0 {
		m["autonomous_system_number"] = mmdbtype.Uint32(f.asn)
	}
	return m
}

func ipNet(prefix netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: prefix.Addr().AsSlice(), Mask: net.CIDRMask(prefix.Bits(), prefix.Addr().BitLen())}
}

// replace writes a file beside the one at path, or beside that to which a symbolic link there leads, and puts it in its place at
// once, with its permissions, when all of it is on the disk. It returns the size.
func replace(path string, fill func(*os.File) (int64, error)) (size int64, err error) {
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	mode := fs.FileMode(0o644)
	if old, err := os.Stat(path); err == nil {
		if !old.Mode().IsRegular() {
			return 0, errors.New("there is something that is not a file: want the name of a file")
		}
		mode = old.Mode().Perm()
	}
	f, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+".*")
	if err != nil {
		return 0, err
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
		}
	}()
	if size, err = fill(f); err != nil {
		return 0, err
	}
	if err = errors.Join(f.Chmod(mode), f.Sync(), f.Close()); err != nil {
		return 0, err
	}
	if err = os.Rename(f.Name(), path); err != nil {
		return 0, err
	}
	return size, syncDirectory(filepath.Dir(path))
}

// syncDirectory makes a rename last through a power cut.
func syncDirectory(path string) error {
	dir, err := os.Open(path)
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}
