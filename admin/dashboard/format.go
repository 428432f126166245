package dashboard

import (
	"fmt"
	"html/template"
	"net/url"
	"reflect"
	"strconv"
	"strings"
	"time"
)

// functions are those of the templates.
func functions() template.FuncMap {
	return template.FuncMap{
		"ago": ago, "left": left, "clock": clock, "iso": iso, "number": number, "milliseconds": milliseconds, "percent": percent,
		"plural": plural, "join": strings.Join, "mark": newMark, "host": host, "deref": deref,
		"instanceURL": instanceURL, "poolURL": poolURL, "addressURL": addressURL, "explainURL": explainURL, "steerURL": steerURL,
		"eventsURL": eventsURL, "eventMark": eventMark, "businessMark": businessMark, "empty": newEmpty, "familyName": familyName, "isTrue": isTrue, "upTo": upTo, "maxRows": func() int { return maxRows }, "beyond": beyond,
	}
}

// ago is how long ago a time was: "12 s", "3 min", "5 h", "2 d". Its twin in static/time.js keeps it up to date.
func ago(t time.Time) string { return span(time.Since(t)) }

// left is how long it is until a time; "0 s" when it is past.
func left(t time.Time) string { return span(time.Until(t)) }

// maxRows is how many rows a table shows that has no pages.
const maxRows = 100

// upTo is the beginning of a list, of so many; beyond is how many are left out.
func upTo(most int, list any) any {
	v := reflect.ValueOf(list)
	return v.Slice(0, min(v.Len(), most)).Interface()
}

func beyond(most int, list any) int { return max(reflect.ValueOf(list).Len()-most, 0) }

// isTrue reports whether something is known to be so.
func isTrue(b *bool) bool { return b != nil && *b }

// span is a duration in its two largest units at most, rounded down.
func span(d time.Duration) string {
	s := max(int64(d/time.Second), 0)
	switch {
	case s < 60:
		return fmt.Sprintf("%d s", s)
	case s < 3600:
		return fmt.Sprintf("%d min", s/60)
	case s < 86400:
		if m := s % 3600 / 60; m > 0 {
			return fmt.Sprintf("%d h %d min", s/3600, m)
		}
		return fmt.Sprintf("%d h", s/3600)
	case s < 14*86400:
		if h := s % 86400 / 3600; h > 0 {
			return fmt.Sprintf("%d d %d h", s/86400, h)
		}
		return fmt.Sprintf("%d d", s/86400)
	}
	return fmt.Sprintf("%d d", s/86400)
}

// clock is a time for people, in UTC.
func clock(t time.Time) string { return t.UTC().Format("2006-01-02 15:04:05 UTC") }

// iso is a time for machines.
func iso(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// deref is the time that is pointed to; zero for nil.
func deref(t *time.Time) time.Time {
	if t == nil {
		return time.Time{}
	}
	return *t
}

// number has thin spaces between thousands.
func number(n int) string {
	digits := strconv.Itoa(n)
	var b strings.Builder
	for i, c := range digits {
		if i > 0 && (len(digits)-i)%3 == 0 {
			b.WriteRune('\u202f')
		}
		b.WriteRune(c)
	}
	return b.String()
}

// milliseconds is a time that a probe took.
func milliseconds(ms float64) string {
	switch {
	case ms >= 10_000:
		return strconv.FormatFloat(ms/1000, 'f', 1, 64) + " s"
	case ms >= 100:
		return strconv.FormatFloat(ms, 'f', 0, 64) + " ms"
	case ms >= 10:
		return strconv.FormatFloat(ms, 'f', 1, 64) + " ms"
	}
	return strconv.FormatFloat(ms, 'f', 2, 64) + " ms"
}

// percent is a share from 0 to 1. What is more than nothing is not shown as nothing.
func percent(share float64) string {
	switch {
	case share > 0 && share < 0.0001:
		return "< 0.01%"
	case share == 0 || share == 1:
		return strconv.FormatFloat(share*100, 'f', 0, 64) + "%"
	}
	return strconv.FormatFloat(share*100, 'f', 2, 64) + "%"
}

// plural is a number with its noun: "1 address", "2 addresses".
func plural(n int, one, many string) string {
	if n == 1 {
		return "1 " + one
	}
	return number(n) + " " + many
}

// host is a domain name without its last dot.
func host(name string) string {
	if len(name) > 1 {
		return strings.TrimSuffix(name, ".")
	}
	return name
}

// address of a page with parameters, name and value in turn. Those with no value are left out.
func address(path string, parameters ...string) string {
	var b strings.Builder
	b.WriteString(path)
	separator := byte('?')
	for i := 0; i+1 < len(parameters); i += 2 {
		if parameters[i+1] != "" {
			b.WriteByte(separator)
			b.WriteString(parameters[i] + "=" + url.QueryEscape(parameters[i+1]))
			separator = '&'
		}
	}
	return b.String()
}

// pathEscape is a name as one segment of the path of an API address.
func pathEscape(name string) string { return url.PathEscape(name) }

func instanceURL(name string) string { return address("/instance", "name", name) }
func poolURL(name string) string     { return address("/pool", "name", name) }
func addressURL(name string) string  { return address("/address", "address", name) }
func explainURL(name, client string) string {
	return address("/explain", "name", name, "client", client)
}
func steerURL(addr, pool string) string        { return address("/steer", "address", addr, "pool", pool) }
func eventsURL(parameter, value string) string { return address("/events", parameter, value) }
