package admin

import (
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"
)

// maxValue bounds a value in a query, in characters, and maxValues how often one may be repeated.
const (
	maxValue  = 512
	maxValues = 64
)

// query reads the query of a request, and collects what is wrong with it.
type query struct {
	values   url.Values
	problems []string
}

// newQuery reads the query of a request that may have those keys, and limit and offset.
func newQuery(r *http.Request, keys ...string) *query {
	values, err := url.ParseQuery(r.URL.RawQuery)
	q := &query{values: values}
	if err != nil {
		q.problem("%v", err)
	}
	for key, all := range values {
		switch {
		case !slices.Contains(keys, key):
			q.problem("%q: want none but %s", key, strings.Join(keys, ", "))
		case len(all) > maxValues:
			q.problem("%s: want it at most %d times", key, maxValues)
		}
		for _, value := range all {
			if utf8.RuneCountInString(value) > maxValue || !utf8.ValidString(value) || strings.ContainsFunc(value, unicode.IsControl) {
				q.problem("%s: want at most %d characters that can be printed", key, maxValue)
			}
		}
	}
	slices.Sort(q.problems) // the keys of a map have no order
	return q
}

func (q *query) problem(format string, args ...any) {
	q.problems = append(q.problems, fmt.Sprintf(format, args...))
}

// err is everything that is wrong, nil when nothing is.
func (q *query) err() error {
	if len(q.problems) == 0 {
		return nil
	}
	return errors.New("read the query: " + strings.Join(q.problems, "; "))
}

// text is the value of a key, empty when it is not there. It may be there once.
func (q *query) text(key string) string {
	if len(q.values[key]) > 1 {
		q.problem("%s: want it once", key)
	}
	return q.values.Get(key)
}

// number is a whole number from 0 to a limit.
func (q *query) number(key string, most uint64) uint64 {
	text := q.text(key)
	if text == "" {
		return 0
	}
	n, err := strconv.ParseUint(text, 10, 64)
	if err != nil || n > most {
		q.problem("%s %q: want a number from 0 to %d", key, text, most)
		return 0
	}
	return n
}

// time is an RFC 3339 time, or how long ago: "2026-01-02T03:04:05Z", "24h".
func (q *query) time(key string, now time.Time) time.Time {
	text := q.text(key)
	if text == "" {
		return time.Time{}
	}
	if ago, err := time.ParseDuration(text); err == nil && ago >= 0 {
		return now.Add(-ago)
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		q.problem("%s %q: want a time such as 2026-01-02T03:04:05Z, or how long ago, such as 24h", key, text)
	}
	return at
}

// truth is a yes or no, nil when it is not there.
func (q *query) truth(key string) *bool {
	switch text := q.text(key); text {
	case "":
	case "true":
		return new(true)
	case "false":
		return new(false)
	default:
		q.problem("%s %q: want true or false", key, text)
	}
	return nil
}

// oneOf is one of some texts, or empty.
func (q *query) oneOf(key string, choice ...string) string {
	text := q.text(key)
	if text != "" && !slices.Contains(choice, text) {
		q.problem("%s %q: want one of %s", key, text, strings.Join(choice, ", "))
	}
	return text
}

// window is the part of a list that is asked for.
type window struct{ offset, limit int }

func (q *query) window() window {
	w := window{offset: int(q.number("offset", 1<<31-1)), limit: int(q.number("limit", maxItems))}
	if w.limit == 0 {
		w.limit = defaultItems
	}
	return w
}

// cut is the part of a list; it is never nil.
func cut[T any](all []T, w window) ([]T, Part) {
	begin := min(w.offset, len(all))
	end := min(begin+w.limit, len(all))
	return append([]T{}, all[begin:end]...), Part{Total: len(all), Offset: w.offset, More: end < len(all)}
}
