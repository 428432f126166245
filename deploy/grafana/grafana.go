// Package grafana makes the Grafana dashboard of gtmd, from a layout (layout.go) and the list of all metrics: what the layout
// does not show gets a panel of its own in the last row, so that none is missing. Its test writes gtmd.json.
package grafana

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
)

// Write writes the dashboard for a list of metrics, one on a line, as in node/testdata/metrics.txt.
func Write(out io.Writer, list io.Reader) error {
	metrics, err := readMetrics(list)
	if err != nil {
		return err
	}
	rows := append(slices.Clone(layout), rest(metrics))
	encoder := json.NewEncoder(out)
	encoder.SetEscapeHTML(false)
	encoder.SetIndent("", "  ")
	return encoder.Encode(dashboard(rows))
}

// metric is a line of the list, such as "gtmd_address_up{address,pool} gauge".
type metric struct {
	name   string
	labels []string
	kind   string // "gauge", "counter" or "histogram"
}

var metricLine = regexp.MustCompile(`^(\w+)\{([\w,]*)\} (gauge|counter|histogram)$`)

// readMetrics reads the list.
func readMetrics(list io.Reader) ([]metric, error) {
	var all []metric
	lines := bufio.NewScanner(list)
	for lines.Scan() {
		m := metricLine.FindStringSubmatch(lines.Text())
		if m == nil {
			return nil, fmt.Errorf("%q is no line of the list: want one such as \"gtmd_address_up{address,pool} gauge\"", lines.Text())
		}
		all = append(all, metric{name: m[1], labels: strings.FieldsFunc(m[2], func(c rune) bool { return c == ',' }), kind: m[3]})
	}
	return all, lines.Err()
}

var metricName = regexp.MustCompile(`\b(gtmd|process|go)_\w+`)

// used are the metrics that the queries of some rows name, without the suffixes of histograms.
func used(rows []row) map[string]bool {
	all := map[string]bool{}
	for _, r := range rows {
		for _, p := range r.panels {
			for _, q := range p.queries {
				for _, name := range metricName.FindAllString(q.expr, -1) {
					all[name] = true
					for _, suffix := range []string{"_bucket", "_sum", "_count"} {
						all[strings.TrimSuffix(name, suffix)] = true
					}
				}
			}
		}
	}
	return all
}

// rest is a row with a panel for each metric that the layout does not show.
func rest(metrics []metric) row {
	shown := used(layout)
	r := row{title: "Everything else", isCollapsed: true}
	for _, m := range metrics {
		if shown[m.name] {
			continue
		}
		p := panel{title: strings.TrimPrefix(m.name, "gtmd_"), width: 8, unit: unitOf(m.name)}
		switch m.kind {
		case "counter":
			p.queries = []query{{expr: fmt.Sprintf("rate(%s{$on}[$__rate_interval])", m.name), legend: legendOf(m.labels)}}
			p.unit = "cps"
		case "histogram":
			p.queries = []query{{expr: fmt.Sprintf("histogram_quantile(0.99, sum by (le, instance) (rate(%s_bucket{$on}[$__rate_interval])))", m.name), legend: "p99 {{instance}}"}}
		default:
			expr := fmt.Sprintf("%s{$on}", m.name)
			if strings.HasSuffix(m.name, "_timestamp_seconds") {
				expr, p.unit = "time() - "+expr, "s"
			}
			p.queries = []query{{expr: expr, legend: legendOf(m.labels)}}
		}
		r.panels = append(r.panels, p)
	}
	return r
}

// legendOf names a series by its labels.
func legendOf(labels []string) string {
	parts := []string{"{{instance}}"}
	for _, l := range labels {
		if l == "instance" {
			l = "exported_instance"
		}
		parts = append(parts, "{{"+l+"}}")
	}
	return strings.Join(parts, " ")
}

func unitOf(name string) string {
	switch {
	case strings.HasSuffix(name, "_seconds"):
		return "s"
	case strings.HasSuffix(name, "_bytes"):
		return "bytes"
	default:
		return "short"
	}
}
