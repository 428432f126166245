package config

import (
	"fmt"
	"strconv"
	"strings"
)

// suggest returns the candidate that is most like word, or "" when none is near: at most one edit for words of up to
// four octets and two for longer ones, letter case aside. Of equally near candidates the first is taken.
func suggest(word string, candidates []string) string {
	best, nearest := "", min(2, (len(word)+1)/3)+1
	for _, candidate := range candidates {
		if d := editDistance(strings.ToLower(word), strings.ToLower(candidate), nearest); d < nearest {
			best, nearest = candidate, d
		}
	}
	return best
}

// DidYouMean is what an error about an unknown word says at its end: "; did you mean ...?" with the candidate that is most like it;
// empty: none is near.
func DidYouMean(word string, candidates []string) string {
	near := suggest(word, candidates)
	if near == "" {
		return ""
	}
	return fmt.Sprintf("; did you mean %s?", quote(near))
}

// editDistance is the Damerau-Levenshtein distance (optimal string alignment) of a and b in octets, or any number not
// below limit when it reaches limit.
func editDistance(a, b string, limit int) int {
	if max(len(a), len(b))-min(len(a), len(b)) >= limit {
		return limit
	}
	const most = 64 // octets of a name; only what is no name takes memory
	var buffers [3][most + 1]int
	before, last, row := buffers[0][:], buffers[1][:], buffers[2][:]
	if len(b) > most {
		before, last, row = make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	}
	for j := range len(b) + 1 {
		last[j] = j
	}
	for i := 1; i <= len(a); i++ {
		row[0] = i
		for j := 1; j <= len(b); j++ {
			change := 1
			if a[i-1] == b[j-1] {
				change = 0
			}
			row[j] = min(last[j]+1, row[j-1]+1, last[j-1]+change)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				row[j] = min(row[j], before[j-2]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// enumerate writes words as a list in a sentence: `a`, `a or b`, `a, b or c`, with the conjunction given.
func enumerate(words []string, conjunction string) string {
	if len(words) < 2 {
		return strings.Join(words, "")
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " " + conjunction + " " + words[last]
}

// quoted returns the words as quoted strings.
func quoted(words []string) []string {
	out := make([]string, len(words))
	for i, word := range words {
		out[i] = quote(word)
	}
	return out
}

// quote writes a user's text as a quoted string, cut after 80 octets.
func quote(text string) string {
	const limit = 80
	if len(text) > limit {
		return strconv.Quote(strings.ToValidUTF8(text[:limit], "")) + "..."
	}
	return strconv.Quote(text)
}
