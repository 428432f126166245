package admin

import "time"

// ConfigText is the answer of GET /api/v1/config: the configuration as text, and how the last load went.
type ConfigText struct {
	ConfigStatus
	// Files are those that are served, the main one first.
	Files []ConfigFile `json:"files"`
	// Problems are those of the last reload when it was refused, each with its place.
	Problems []ConfigProblem `json:"problems,omitempty"`
}

// ConfigFile is the text of one file when it was loaded.
type ConfigFile struct {
	Name string `json:"name"`
	Text string `json:"text"`
	// Changed is whether the file on disk is another one now.
	Changed bool `json:"changed,omitempty"`
}

// ConfigProblem is one problem of a file, or a warning.
type ConfigProblem struct {
	File    string `json:"file"`
	Line    int    `json:"line,omitempty"`
	Column  int    `json:"column,omitempty"`
	Message string `json:"message"`
	// Text is the line itself, as it was when the file was refused.
	Text string `json:"text,omitempty"`
}

// SourceStatus is a request source (line) that the configuration uses.
type SourceStatus struct {
	Source string `json:"source"`
	// Name is what people call it: "Guangdong, China Telecom".
	Name string `json:"name,omitempty"`
	// Country is the ISO 3166 code for sources of countries, Continent that of continents, Subdivision that of provinces.
	Country     string `json:"country,omitempty"`
	Continent   string `json:"continent,omitempty"`
	Subdivision string `json:"subdivision,omitempty"`
	// Prefixes are those of a custom line.
	Prefixes []string `json:"prefixes,omitempty"`
	// Uses are the policies with the source.
	Uses []SourceUse `json:"uses"`
	// Databases are the files that can match it.
	Databases      []string   `json:"databases,omitempty"`
	DatabasesBuilt *time.Time `json:"databases_built,omitempty"`
}

// SourceUse is a policy that has a source.
type SourceUse struct {
	Instance string `json:"instance"`
	Policy   string `json:"policy"`
	Family   string `json:"family"`
	InForce  string `json:"in_force"`
	Why      string `json:"why"`
}
