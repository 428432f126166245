package dashboard

import (
	"fmt"
	"slices"

	"gtmd/admin"
)

// A phaseChart is the last results of a target as bars, the latest on the right: how long each part of the probe took.
type phaseChart struct {
	Bars          []phaseBar
	Grid          []gridLine
	Width, Height int
	Slot, Bar     string // the widths of a result and of its bar
	Median, Most  string
	Good, Failed  int
	From          string // the age of the oldest result, which is at the left end; empty: it is not
	Summary       string
	HasPhases     bool
	Failures      []admin.ProbeResult // the latest first
	Results       []admin.ProbeResult // the latest first
}

// A phaseBar is one result.
type phaseBar struct {
	X      string
	Parts  []barPart
	Failed bool
	Text   string // all of it in words
}

// A barPart is one phase.
type barPart struct {
	Class, Y, Height string
}

// A gridLine is a mark of the scale.
type gridLine struct{ Y, Text string }

// The box of the chart.
const (
	chartWidth  = 1000
	chartHeight = 180
	// fewResults do not fill the chart.
	fewResults = 25
)

// newPhaseChart takes results with the latest first.
func newPhaseChart(results []admin.ProbeResult) phaseChart {
	c := phaseChart{Width: chartWidth, Height: chartHeight, Results: results}
	if len(results) == 0 {
		return c
	}
	var times []float64
	for _, r := range results {
		if r.Good {
			c.Good++
			times = append(times, r.Milliseconds)
		} else {
			c.Failed++
			c.Failures = append(c.Failures, r)
		}
		c.HasPhases = c.HasPhases || r.Phases != nil
	}
	if c.Good == 0 { // then the failed ones are all that the scale can be of
		for _, r := range results {
			times = append(times, r.Milliseconds)
		}
	}
	slices.Sort(times)
	top := 1.
	if len(times) > 0 {
		if c.Good > 0 {
			c.Median, c.Most = milliseconds(times[len(times)/2]), milliseconds(times[len(times)-1])
		}
		top = max(times[(len(times)-1)*98/100], times[len(times)/2]) // one slow result does not flatten all others
	}
	step := niceStep(top)
	top = step * float64(int(top/step)+1)
	for v := step; v <= top+step/2; v += step {
		c.Grid = append(c.Grid, gridLine{decimal(chartHeight - v/top*(chartHeight-8)), milliseconds(v)})
	}
	width := float64(chartWidth) / float64(max(len(results), fewResults))
	c.Slot, c.Bar = decimal(width), decimal(width*0.9)
	for i, r := range slices.Backward(results) {
		bar := phaseBar{X: decimal(chartWidth - (float64(i)+0.95)*width), Failed: !r.Good, Text: barText(&r)}
		y := 0.
		add := func(class string, ms float64) {
			if ms <= 0 || y >= top {
				return
			}
			ms = min(ms, top*1.04-y) // beyond the scale: cut
			height := ms / top * (chartHeight - 8)
			bar.Parts = append(bar.Parts, barPart{class, decimal(chartHeight - (y+ms)/top*(chartHeight-8)), decimal(height)})
			y += ms
		}
		if p := r.Phases; p != nil {
			add("p-connect", p.ConnectMS)
			add("p-tls", p.TLSMS)
			add("p-first", p.FirstByteMS)
			add("p-body", p.BodyMS)
			add("p-rest", r.Milliseconds-p.ConnectMS-p.TLSMS-p.FirstByteMS-p.BodyMS)
		} else {
			add("p-rest", r.Milliseconds)
		}
		c.Bars = append(c.Bars, bar)
	}
	if len(results) >= fewResults {
		c.From = ago(results[len(results)-1].Time) + " ago"
	}
	c.Summary = plural(len(results), "result", "results") + fmt.Sprintf(": %d good, %d failed", c.Good, c.Failed)
	return c
}

// niceStep is 1, 2 or 5 times a power of ten, so that a scale up to top has 2 to 5 steps.
func niceStep(top float64) float64 {
	step := 0.001
	for {
		for _, n := range []float64{1, 2, 5} {
			if top/(step*n) < 4 {
				return step * n
			}
		}
		step *= 10
	}
}

func decimal(f float64) string { return fmt.Sprintf("%.1f", f) }

// barText is a result in words.
func barText(r *admin.ProbeResult) string {
	text := clock(r.Time) + ": "
	if !r.Good {
		text += "failed, " + r.Reason + "; "
	}
	text += milliseconds(r.Milliseconds)
	if p := r.Phases; p != nil {
		for _, part := range []struct {
			name string
			ms   float64
		}{{"connect", p.ConnectMS}, {"TLS", p.TLSMS}, {"first byte", p.FirstByteMS}, {"body", p.BodyMS}} {
			if part.ms > 0 {
				text += ", " + part.name + " " + milliseconds(part.ms)
			}
		}
	}
	if r.Verdict != "" {
		text += "; the verdict turned to " + r.Verdict
	}
	return text
}
