package dashboard

import (
	"embed"
	"html/template"
	"io/fs"
	"path"
)

// A view is one page that is shown.
type view struct {
	// Title is in the title bar and above the page.
	Title string
	// Lead is a sentence below the title; empty: none.
	Lead string
	// Section is the path of the entry of the navigation that the page belongs to; empty: none.
	Section string
	// Crumbs are the pages above this one, from its section on.
	Crumbs []link
	// JSON is the path of the same data in the API; empty: there is none.
	JSON string
	// Status is that of the reply. 0: 200.
	Status int
	// Say is what a screen reader is told when it differs from what the page said before.
	Say string
	// Still is whether the page is left as it is while it is shown: a form, or what was asked once.
	Still bool
	// Bare is a page without the navigation: the login.
	Bare bool
	Data any
}

// A link is a text that leads somewhere.
type link struct{ Text, URL string }

// entry is one of the navigation: Key goes there, after a g.
type entry struct{ Text, URL, Key string }

// Navigation is the main menu.
func (*view) Navigation() []entry {
	return []entry{
		{"Overview", "/", "o"},
		{"Instances", "/instances", "i"},
		{"Pools", "/pools", "p"},
		{"Events", "/events", "e"},
		{"Explain", "/explain", "x"},
		{"Overrides & drills", "/steer", "s"},
		{"Business domains", "/business", "b"},
		{"Alerts", "/alerts", "a"},
		{"Configuration", "/config", "c"},
	}
}

//go:embed pages/*.html
var pageFiles embed.FS

// parse reads the templates: each page together with the layout and the parts. What is embedded parses, or no test passes.
func parse() map[string]*template.Template {
	base := template.Must(template.New("base").Funcs(functions()).ParseFS(pageFiles, "pages/layout.html", "pages/parts.html"))
	templates := map[string]*template.Template{}
	files, err := fs.Glob(pageFiles, "pages/*.html")
	if err != nil {
		panic(err)
	}
	for _, file := range files {
		if name := path.Base(file); name != "layout.html" && name != "parts.html" {
			templates[name] = template.Must(template.Must(base.Clone()).ParseFS(pageFiles, file))
		}
	}
	return templates
}
