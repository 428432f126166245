package dashboard

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"gtmd/admin"
)

// A worldMap is which set the clients of each country, and of each province of China, get, as tiles. It shows what databases
// tell by place alone: networks, providers and cities come before that, and are listed as Besides.
type worldMap struct {
	World, China tiles
	Legend       []outcome
	Families     []tab
	Family       string
	Besides      []string
	// Same is the outcome that everybody has, where there is only one; there are no tiles then.
	Same *outcome
}

// tiles are a grid of tiles, in units of tileSize.
type tiles struct {
	Width, Height int
	Tiles         []tile
}

// A tile is one country or province.
type tile struct {
	Code, Name string
	X, Y       int
	Fill       string // classes: the colour is that of the policy, the pattern that of the role of the set
	Title      string
}

// An outcome is a policy with the set in force.
type outcome struct {
	Policy, Role string
	Tone         tone
	Fill         string
	Names        []string // of the tiles
	Text         string   // the names, as one text
}

// tileSize is how far tiles are from each other.
const tileSize = 30

// colours is how many policies are told apart by colour.
const colours = 8

// mapper finds what a place gets.
type mapper struct {
	uses     map[reach]map[string]*outcome
	outcomes map[[2]string]*outcome
	order    []*outcome
	policies []string
}

// mapOf is the map of an instance in a family; an empty family is the first that it has.
func mapOf(sources []admin.SourceStatus, in *admin.InstanceStatus, family, timeRange string) worldMap {
	var m worldMap
	var families []string
	for i := range in.Policies {
		if f := in.Policies[i].Family; !slices.Contains(families, f) {
			families = append(families, f)
		}
	}
	if len(families) == 0 {
		return m
	}
	if !slices.Contains(families, family) {
		family = families[0]
	}
	m.Family = familyName(family)
	for _, f := range families {
		m.Families = append(m.Families, tab{link{familyName(f), address("/instance", "name", in.Name, "family", f, "range", timeRange) + "#map"}, f == family})
	}
	p := &mapper{uses: map[reach]map[string]*outcome{}, outcomes: map[[2]string]*outcome{}}
	for i := range sources {
		s := &sources[i]
		for _, u := range s.Uses {
			if u.Instance != in.Name || u.Family != family {
				continue
			}
			kind, code := reachOf(s)
			if kind == elsewhere {
				m.Besides = append(m.Besides, cmp.Or(s.Name, s.Source))
				continue
			}
			if p.uses[kind] == nil {
				p.uses[kind] = map[string]*outcome{}
			}
			p.uses[kind][code] = p.outcome(u)
		}
	}
	if len(p.uses) == 0 {
		return m
	}
	m.World, m.China = p.world(), p.china()
	m.Legend = p.legend()
	if len(m.Legend) == 1 {
		m.Same, m.World, m.China = &m.Legend[0], tiles{}, tiles{}
	}
	return m
}

// outcome is that of a use; nothing is an outcome of its own.
func (p *mapper) outcome(u admin.SourceUse) *outcome {
	key := [2]string{u.Policy, u.InForce}
	if o := p.outcomes[key]; o != nil {
		return o
	}
	at := slices.Index(p.policies, u.Policy)
	if at < 0 {
		at = len(p.policies)
		p.policies = append(p.policies, u.Policy)
	}
	o := &outcome{Policy: u.Policy, Role: cmp.Or(u.InForce, "none"), Tone: policyTone(&admin.PolicyStatus{Why: u.Why}),
		Fill: fmt.Sprintf("c%d %s", at%colours, roleClass(u.InForce))}
	p.outcomes[key] = o
	p.order = append(p.order, o)
	return o
}

// nobody is what clients get whom no policy is for.
const nobody = "no policy"

func (p *mapper) none() *outcome {
	key := [2]string{"", ""}
	if p.outcomes[key] == nil {
		p.outcomes[key] = &outcome{Policy: nobody, Role: "none", Tone: idle, Fill: "c- rx"}
		p.order = append(p.order, p.outcomes[key])
	}
	return p.outcomes[key]
}

// ofCountry is what a country gets: the narrowest source counts (docs/geography.md).
func (p *mapper) ofCountry(code, inContinent string) *outcome {
	isMainland := code == "CN"
	steps := []*outcome{p.uses[country][code], nil, p.uses[continent][inContinent], nil, p.uses[everybody][""]}
	if !isMainland {
		steps[1], steps[3] = p.uses[overseasOf][inContinent], p.uses[overseas][""]
	}
	for _, o := range steps {
		if o != nil {
			return o
		}
	}
	return p.none()
}

func (p *mapper) world() (t tiles) {
	for _, c := range countryTiles() {
		t.add(c.code, c.code, c.name, c.x, c.y, p.ofCountry(c.code, c.continent))
	}
	return t
}

func (p *mapper) china() (t tiles) {
	for _, c := range provinceTiles() {
		short := strings.TrimPrefix(c.code, "CN-")
		o := cmp.Or(p.uses[province][c.code], p.uses[region][c.region])
		if o == nil {
			land := "CN"
			if c.region == "" {
				land = short // Hong Kong, Macao and Taiwan have codes of their own
			}
			o = p.ofCountry(land, "AS")
		}
		t.add(c.code, short, c.name, c.x, c.y, o)
	}
	return t
}

func (t *tiles) add(full, code, name string, x, y int, o *outcome) {
	t.Tiles = append(t.Tiles, tile{Code: code, Name: name, X: x * tileSize, Y: y * tileSize, Fill: o.Fill, Title: name + " (" + full + "): " + o.Policy + ", " + o.Role})
	t.Width, t.Height = max(t.Width, (x+1)*tileSize), max(t.Height, (y+1)*tileSize)
	if label := name; !slices.Contains(o.Names, label) {
		o.Names = append(o.Names, label)
	}
}

// legend is every outcome that some place has.
func (p *mapper) legend() (all []outcome) {
	for _, o := range p.order {
		if len(o.Names) > 0 {
			o.Text = strings.Join(o.Names, ", ")
			all = append(all, *o)
		}
	}
	return all
}
