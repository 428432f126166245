package alert

import (
	"encoding/json"
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // Time zones are known where the system has no list of them.
)

// Quiet is a time of day, on some days of the week, in which people are not disturbed. It begins at From and ends before To,
// minutes after midnight; one that ends at or before its beginning goes over midnight, and its days are those on which it begins.
type Quiet struct {
	From, To int
	// Days has bit 1<<time.Weekday for each day. 0: every day.
	Days uint8
}

// UnmarshalText reads "23:00-07:00" or "Sat,Sun 00:00-24:00".
func (q *Quiet) UnmarshalText(text []byte) error {
	complaint := fmt.Errorf("%q is no time of day: want one such as \"23:00-07:00\" or \"Sat,Sun 00:00-24:00\"", text)
	hours, days := strings.TrimSpace(string(text)), ""
	if i := strings.LastIndexByte(hours, ' '); i >= 0 {
		days, hours = hours[:i], hours[i+1:]
	}
	from, to, found := strings.Cut(hours, "-")
	var out Quiet
	var isFrom, isTo bool
	out.From, isFrom = minutes(from)
	out.To, isTo = minutes(to)
	if !found || !isFrom || !isTo || out.From == out.To || out.From == day {
		return complaint
	}
	for _, name := range strings.FieldsFunc(days, func(r rune) bool { return r == ',' || r == ' ' }) {
		d, ok := weekday(name)
		if !ok {
			return fmt.Errorf("%q is no day in %q: want Mon, Tue, Wed, Thu, Fri, Sat or Sun", name, text)
		}
		out.Days |= 1 << d
	}
	*q = out
	return nil
}

// String is the time as UnmarshalText reads it.
func (q Quiet) String() string {
	var days []string
	for d := time.Sunday; d <= time.Saturday; d++ {
		if q.Days&(1<<d) != 0 {
			days = append(days, d.String()[:3])
		}
	}
	hours := fmt.Sprintf("%02d:%02d-%02d:%02d", q.From/60, q.From%60, q.To/60, q.To%60)
	return strings.TrimSpace(strings.Join(days, ",") + " " + hours)
}

// day is a day in minutes.
const day = 24 * 60

// minutes reads "23:00" as minutes after midnight; "24:00" is the end of the day.
func minutes(text string) (int, bool) {
	if text == "24:00" {
		return day, true
	}
	t, err := time.Parse("15:04", text)
	return t.Hour()*60 + t.Minute(), err == nil && len(text) == len("15:04")
}

func weekday(name string) (time.Weekday, bool) {
	for d := time.Sunday; d <= time.Saturday; d++ {
		if strings.EqualFold(name, d.String()[:3]) || strings.EqualFold(name, d.String()) {
			return d, true
		}
	}
	return 0, false
}

// has tells whether a time of the clock on the wall is in it.
func (q Quiet) has(t time.Time) bool {
	at, today := t.Hour()*60+t.Minute(), t.Weekday()
	on := func(d time.Weekday) bool { return q.Days == 0 || q.Days&(1<<d) != 0 }
	if q.From < q.To {
		return on(today) && at >= q.From && at < q.To
	}
	return on(today) && at >= q.From || on((today+6)%7) && at < q.To
}

// quietUntil returns when the quiet time around a moment ends, or the zero time when it is in none. Several that meet are one.
// It looks a fortnight ahead at most.
func quietUntil(list []Quiet, in *time.Location, now time.Time) time.Time {
	isQuiet := func(t time.Time) bool {
		t = t.In(in)
		for _, q := range list {
			if q.has(t) {
				return true
			}
		}
		return false
	}
	if !isQuiet(now) {
		return time.Time{}
	}
	// Time zones move by whole minutes today, so that minutes of the wall begin with those of UTC.
	t := now.Truncate(time.Minute).Add(time.Minute)
	for end := now.Add(14 * 24 * time.Hour); t.Before(end) && isQuiet(t); {
		t = t.Add(time.Minute)
	}
	return t
}

// Zone is a time zone by its name. The zero value is that of this machine.
type Zone struct {
	name     string
	location *time.Location
}

// UnmarshalText reads the name of a zone in the IANA database, "UTC" or "Local".
func (z *Zone) UnmarshalText(text []byte) error {
	location, err := time.LoadLocation(string(text))
	if err != nil || len(text) == 0 {
		return fmt.Errorf("%q is no time zone: want one such as \"Asia/Shanghai\", \"UTC\" or \"Local\"", text)
	}
	*z = Zone{string(text), location}
	return nil
}

// String is the name of the zone.
func (z Zone) String() string {
	if z.location == nil {
		return "Local"
	}
	return z.name
}

// Location is the zone for package time, never nil.
func (z Zone) Location() *time.Location {
	if z.location == nil {
		return time.Local
	}
	return z.location
}

// MarshalJSON implements [json.Marshaler].
func (z Zone) MarshalJSON() ([]byte, error) { return json.Marshal(z.String()) }
