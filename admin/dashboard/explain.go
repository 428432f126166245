package dashboard

import (
	"cmp"
	"net/http"
	"strings"

	"gtmd/admin"
)

// explaining is what the page of explanations shows.
type explaining struct {
	Name, Type, Client, Suppose string
	Names                       []string // to choose from
	// Explanation is nil before something is asked, and where Problem says what is wrong with the question.
	Explanation *admin.Explanation
	Problem     string
}

// questionTypes are the record types that the form offers.
var questionTypes = []string{"A", "AAAA", "CNAME", "HTTPS", "TXT", "SOA", "NS"}

// Types are those that the form offers.
func (explaining) Types() []string { return questionTypes }

// maxNames is how many names the form offers.
const maxNames = 200

func (d *dashboard) explain(_ http.ResponseWriter, r *http.Request) (*view, error) {
	field := func(name string) string { return strings.TrimSpace(r.URL.Query().Get(name)) }
	e := explaining{Name: field("name"), Type: cmp.Or(strings.ToUpper(field("type")), "A"), Client: field("client"), Suppose: field("suppose")}
	for _, in := range d.backend.Status().Instances {
		if len(e.Names) < maxNames {
			e.Names = append(e.Names, host(in.AccessDomain))
		}
	}
	v := &view{Title: "Explain", Section: "/explain", Still: true, Lead: "What a client gets for a name, and why: the code that serves is asked."}
	if e.Name != "" {
		found, err := d.backend.Explain(admin.Question{Name: e.Name, Type: e.Type, Client: e.Client, Suppose: strings.Fields(e.Suppose)})
		if err != nil {
			e.Problem, v.Status = err.Error(), http.StatusBadRequest
		} else {
			e.Explanation = &found
			v.JSON = address("/api/v1/explain", "name", e.Name, "type", e.Type, "client", e.Client)
			for _, assumption := range strings.Fields(e.Suppose) {
				v.JSON += strings.Replace(address("", "suppose", assumption), "?", "&", 1)
			}
		}
	} else if len(e.Names) > 0 {
		e.Name = e.Names[0]
	}
	v.Data = e
	return v, nil
}
