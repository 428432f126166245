package grafana

import "strings"

// object is one of JSON.
type object = map[string]any

// selection is what $on stands for.
const selection = `job=~"$job", instance=~"$instance"`

// dashboard is what Grafana imports (schema version 36, Grafana 9 and later).
func dashboard(rows []row) object {
	var panels []object
	id, y := 0, 0
	for _, r := range rows {
		id++
		head := object{"id": id, "type": "row", "title": r.title, "collapsed": r.isCollapsed, "gridPos": object{"x": 0, "y": y, "w": 24, "h": 1}, "panels": []object{}}
		y++
		placed, height := place(r.panels, &id, y)
		if r.isCollapsed {
			head["panels"] = placed
			panels = append(panels, head)
			continue
		}
		panels = append(append(panels, head), placed...)
		y += height
	}
	return object{
		"title": "gtmd", "uid": "gtmd", "tags": []string{"dns", "gtm"}, "timezone": "browser", "schemaVersion": 36, "version": 1, "editable": true,
		"graphTooltip": 1, "refresh": "30s", "time": object{"from": "now-6h", "to": "now"}, "panels": panels,
		"templating": object{"list": []object{
			{"name": "datasource", "label": "Prometheus", "type": "datasource", "query": "prometheus"},
			variable("job", "Job", `label_values(gtmd_build_info, job)`, true),
			variable("instance", "gtmd", `label_values(gtmd_build_info{job=~"$job"}, instance)`, true),
			variable("gtm", "Instance", `label_values(gtmd_policy_active_set{job=~"$job"}, exported_instance)`, true),
		}},
		"annotations": object{"list": []object{{
			"name": "Switches", "datasource": source(), "enable": true, "iconColor": "orange", "step": "60s", "titleFormat": "{{exported_instance}} {{policy}} {{family}}",
			"textFormat": "{{from}} -> {{to}}",
			"expr":       on(`sum by (exported_instance, policy, family, from, to) (increase(gtmd_policy_switches_total{$on, exported_instance=~"$gtm"}[1m])) > 0`),
		}}},
	}
}

func source() object { return object{"type": "prometheus", "uid": "${datasource}"} }

// on puts the selection into a query.
func on(expr string) string { return strings.ReplaceAll(expr, "$on", selection) }

// variable is a choice at the top, with everything chosen at first.
func variable(name, label, expr string, isMulti bool) object {
	return object{
		"name": name, "label": label, "type": "query", "datasource": source(), "query": object{"query": expr, "refId": name}, "definition": expr,
		"refresh": 2, "multi": isMulti, "includeAll": true, "current": object{"text": "All", "value": "$__all"}, "sort": 1,
	}
}

// place lays panels out from left to right, in lines. It returns them and how high they are together.
func place(panels []panel, id *int, y int) (placed []object, height int) {
	x, line := 0, 0
	for _, p := range panels {
		h := p.height
		switch {
		case h == 0 && p.kind == "stat":
			h = 4
		case h == 0:
			h = 8
		}
		if x+p.width > 24 {
			x, height, line = 0, height+line, 0
		}
		*id++
		o := p.object()
		o["id"], o["gridPos"] = *id, object{"x": x, "y": y + height, "w": p.width, "h": h}
		placed = append(placed, o)
		x, line = x+p.width, max(line, h)
	}
	return placed, height + line
}

// object is the panel without its place.
func (p panel) object() object {
	kind, unit := p.kind, p.unit
	if kind == "" {
		kind = "timeseries"
	}
	if unit == "" {
		unit = "short"
	}
	var targets []object
	for i, q := range p.queries {
		targets = append(targets, object{"refId": string(rune('A' + i)), "datasource": source(), "expr": on(q.expr), "legendFormat": q.legend})
	}
	defaults := object{"unit": unit}
	o := object{"type": kind, "title": p.title, "description": p.help, "datasource": source(), "targets": targets}
	switch kind {
	case "stat":
		defaults["thresholds"] = p.thresholds()
		o["options"] = object{"reduceOptions": object{"calcs": []string{"lastNotNull"}}, "colorMode": "background", "graphMode": "area"}
	case "state-timeline":
		defaults["mappings"] = []object{{"type": "value", "options": object{"0": object{"text": "normal", "color": "green"}, "1": object{"text": "not normal", "color": "red"}}}}
		defaults["custom"] = object{"fillOpacity": 70, "lineWidth": 0}
		o["options"] = object{"showValue": "never", "mergeValues": true, "rowHeight": 0.8}
	default:
		custom := object{"lineWidth": 1, "fillOpacity": 10, "showPoints": "never"}
		if p.stacked {
			custom["fillOpacity"], custom["stacking"] = 30, object{"mode": "normal"}
		}
		defaults["custom"] = custom
		o["options"] = object{"legend": object{"displayMode": "list", "placement": "bottom"}, "tooltip": object{"mode": "multi", "sort": "desc"}}
	}
	o["fieldConfig"] = object{"defaults": defaults, "overrides": []object{}}
	return o
}

func (p panel) thresholds() object {
	good, bad := "green", "red"
	if p.isGoodAbove {
		good, bad = bad, good
	}
	steps := []object{{"color": good, "value": nil}}
	if p.badFrom != 0 {
		steps = append(steps, object{"color": bad, "value": p.badFrom})
	}
	return object{"mode": "absolute", "steps": steps}
}
