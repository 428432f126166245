package dashboard

import (
	"fmt"
	"slices"
	"strings"

	"gtmd/admin"
)

// A spark is the latency of a target in its last results, the oldest on the left, as a line in a box of sparkWidth and
// sparkHeight.
type spark struct {
	Check string
	Lines []string // points of the good results in a row: "0,20 1.2,18"; a failure ends one
	Fails string   // a path of the failures: strokes over the whole height
	Title string   // the same in words
	Any   bool
}

// The box of a spark.
const (
	sparkWidth  = 120
	sparkHeight = 22
)

// newSpark takes results with the latest first.
func newSpark(check string, results []admin.ProbeResult) spark {
	s := spark{Check: check, Any: len(results) > 0}
	if !s.Any {
		s.Title = "no result yet"
		return s
	}
	var times []float64
	failed := 0
	for i := range results {
		if results[i].Good {
			times = append(times, results[i].Milliseconds)
		} else {
			failed++
		}
	}
	slices.Sort(times)
	top := 1.
	if len(times) > 0 {
		top = max(times[(len(times)-1)*95/100]*1.3, 0.001) // a few slow ones do not flatten all others
	}
	var run, fails []string
	flush := func() {
		if len(run) == 1 {
			run = append(run, run[0])
		}
		if len(run) > 0 {
			s.Lines = append(s.Lines, strings.Join(run, " "))
		}
		run = nil
	}
	step := float64(sparkWidth) / admin.MaxResults
	for i, r := range slices.Backward(results) {
		x := sparkWidth - (float64(i)+0.5)*step
		if !r.Good {
			flush()
			fails = append(fails, fmt.Sprintf("M%.1f 1V%d", x, sparkHeight-1))
			continue
		}
		y := sparkHeight - 2 - min(r.Milliseconds/top, 1)*(sparkHeight-4)
		run = append(run, fmt.Sprintf("%.1f,%.1f", x, y))
	}
	flush()
	s.Fails = strings.Join(fails, "")
	s.Title = plural(len(results), "result", "results")
	if len(times) > 0 {
		s.Title += ": median " + milliseconds(times[len(times)/2]) + ", most " + milliseconds(times[len(times)-1])
	}
	if failed > 0 {
		s.Title += fmt.Sprintf("; %d failed", failed)
	}
	return s
}
