#!/bin/sh
# Makes a database of countries for gtmd from Debian's package tor-geoipdb, which is fetched but not installed.
#
#     debian.sh [FILE]      FILE: the database, /var/lib/gtmd/country.mmdb if it is not given
#
# It needs apt-get, dpkg-deb and gtmd (or the program that $GTMD names), and may write to the directory of FILE; it
# needs no other rights. The package is the one that the lists of apt know: "apt-get update" fetches newer lists.
# FILE is replaced at once, and only by a database that gtmd takes; a running gtmd picks it up. Data: IPFire location
# database, CC BY-SA 4.0.
set -eu

target=${1:-/var/lib/gtmd/country.mmdb}
gtmd=${GTMD:-gtmd}

fail() {
	printf 'debian.sh: %s\n' "$*" >&2
	exit 1
}

case $target in
-h | --help)
	sed -n '2,/^set/s/^# \{0,1\}//p' "$0"
	exit 0
	;;
-*) fail "there is no option $target: want the file of the database, or nothing" ;;
esac
for program in apt-get dpkg-deb "$gtmd"; do
	command -v "$program" >/dev/null || fail "there is no $program"
done
directory=$(dirname -- "$target")
[ -d "$directory" ] || fail "there is no directory $directory for $target"
[ -w "$directory" ] || fail "cannot write to $directory: run this as its owner (gtmd)"

work=$(mktemp -d)
new=$directory/.$(basename -- "$target").new
trap 'rm -rf -- "$work" "$new"' EXIT
trap 'exit 1' HUP INT TERM

(cd "$work" && apt-get -qq download tor-geoipdb) ||
	fail "apt-get cannot fetch tor-geoipdb: does \"apt-get update\" work?"
dpkg-deb -x "$work"/tor-geoipdb_*.deb "$work/package"
"$gtmd" geo build -o "$new" "tor:$work/package/usr/share/tor/geoip" "tor:$work/package/usr/share/tor/geoip6"
"$gtmd" geo verify "$new"

if cmp -s -- "$new" "$target"; then
	echo "$target is up to date"
	exit 0
fi
if [ -e "$target" ]; then
	"$gtmd" geo diff "$target" "$new" || echo "the old $target cannot be compared; it is replaced"
	chmod --reference="$target" -- "$new"
fi
mv -f -- "$new" "$target"
echo "$target is new"
