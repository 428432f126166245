package dashboard

import (
	"net/http"
	"net/url"
	"strconv"
)

// pageSize is how many rows of a list a page has.
const pageSize = 50

// A pager is a part of a long list. From and To count from 1; both are 0 when there is nothing.
type pager struct {
	From, To, Total, Pages int
	Previous, Next         string // links; empty: there is none
}

// cut returns the part of a list that a request asks for with its parameter "page". One beyond the end is the last.
func cut[T any](r *http.Request, all []T) ([]T, pager) {
	query := r.URL.Query()
	number, _ := strconv.Atoi(query.Get("page")) // what is no number is the first
	pages := (len(all) + pageSize - 1) / pageSize
	number = max(min(number, pages), 1)
	from, to := (number-1)*pageSize, min(number*pageSize, len(all))
	p := pager{From: min(from+1, to), To: to, Total: len(all), Pages: pages}
	if number > 1 {
		p.Previous = turned(r.URL.Path, query, number-1)
	}
	if number < pages {
		p.Next = turned(r.URL.Path, query, number+1)
	}
	return all[from:to], p
}

// turned is the address of another page of the same list.
func turned(path string, query url.Values, number int) string {
	query.Set("page", strconv.Itoa(number))
	return path + "?" + query.Encode()
}

// An empty is what stands where a list has nothing: it says what would be there, and how it comes there.
type empty struct{ Title, Text, URL, Link string }

func newEmpty(title, text, url, link string) empty { return empty{title, text, url, link} }
