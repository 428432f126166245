package dashboard

import (
	"fmt"
	"net/http"
	"strings"

	"gtmd/admin"
)

// configuring is what the page of the configuration shows.
type configuring struct {
	actor
	admin.ConfigText
	Lines []configFile
	// Done says what has just been done; empty: nothing.
	Done string
}

// configFile is a file with its lines.
type configFile struct {
	Name      string
	IsChanged bool
	Lines     []configLine
	More      int // lines that are left out
}

type configLine struct {
	Number  int
	Text    string
	Problem string // that of this line; empty: none
}

// maxLines is how many lines of all files are shown: the page is fetched again whenever something changes.
const maxLines = 1500

func (d *dashboard) configuration(_ http.ResponseWriter, r *http.Request) (*view, error) {
	c := configuring{actor: actorOf(r), ConfigText: d.backend.ConfigText()}
	if r.URL.Query().Get("done") == "reload" && c.Error == "" { // the page may stay open until a later one is refused
		c.Done = "The configuration was loaded again and is served."
	}
	room := maxLines
	for _, f := range c.Files {
		file := configFile{Name: f.Name, IsChanged: f.Changed, Lines: linesOf(f)}
		if n := len(file.Lines); n > room {
			file.Lines, file.More = file.Lines[:room], n-room
		}
		room -= len(file.Lines)
		c.Lines = append(c.Lines, file)
	}
	v := &view{Title: "Configuration", Section: "/config", JSON: "/api/v1/config", Data: c, Lead: "What is served, as it was loaded. Secrets stand in files of their own, and are not shown."}
	if c.Error != "" {
		v.Say = "The last reload was refused."
	}
	return v, nil
}

func linesOf(f admin.ConfigFile) []configLine {
	var all []configLine
	for i, text := range strings.Split(strings.TrimSuffix(f.Text, "\n"), "\n") {
		all = append(all, configLine{Number: i + 1, Text: text})
	}
	return all
}

// reload loads the configuration again. Problems are shown on the page of the configuration, where they stay until it is mended.
func (d *dashboard) reload(w http.ResponseWriter, r *http.Request) (*view, error) {
	target := "/config?done=reload"
	if err := d.backend.Reload(r.Context()); err != nil {
		if d.backend.ConfigText().Error == "" { // it was not refused, but not done either
			return nil, fmt.Errorf("reload: %w", err)
		}
		target = "/config"
	}
	http.Redirect(w, r, target, http.StatusSeeOther)
	return nil, nil
}
