package admin

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Bounds of the time of a drill.
const (
	minDrill = time.Second
	maxDrill = 24 * time.Hour
)

// DrillRequest asks for a drill: what is named counts as down for some time, and comes back by itself.
type DrillRequest struct {
	OverrideTarget
	// For is how long; needed.
	For    Duration `json:"for"`
	Reason string   `json:"reason"`
	Author string   `json:"author"`
	// Force does it even where what would take over is not available.
	Force bool `json:"force,omitempty"`
}

// Check says everything that makes no sense in a request, whatever there is to drill. It writes an address as the configuration
// does.
func (r *DrillRequest) Check() error {
	problems := r.OverrideTarget.check()
	switch {
	case r.For == 0:
		problems = append(problems, "the time is missing: want for, such as 10m")
	case r.For < Duration(minDrill) || r.For > Duration(maxDrill):
		problems = append(problems, fmt.Sprintf("for %s: want %s to %s", r.For, Duration(minDrill), Duration(maxDrill)))
	}
	problems = append(problems, checkText("reason", r.Reason, maxReason)...)
	return joinProblems(append(problems, checkText("author", r.Author, maxName)...))
}

// The states of a drill.
const (
	DrillRunning = "running"
	DrillEnded   = "ended"   // its time was over
	DrillStopped = "stopped" // by an operator
)

// Drill is one, running or over.
type Drill struct {
	// ID names it: d1, d2, ...
	ID string `json:"id"`
	OverrideTarget
	State    string     `json:"state"`
	Reason   string     `json:"reason"`
	Author   string     `json:"author"`
	Forced   bool       `json:"forced,omitempty"`
	Started  time.Time  `json:"started"`
	Ends     time.Time  `json:"ends"` // when it rolls back, or would have rolled back, by itself
	Ended    *time.Time `json:"ended,omitempty"`
	EndedBy  string     `json:"ended_by,omitempty"` // who stopped it; "gtmd" where a reload did
	Override string     `json:"override"`           // the ID of its override
	// Policies are those whose answers it concerns.
	Policies []DrillPolicy `json:"policies"`
	// CameBack is whether every policy is as it was before: set in force and records. Nil while it runs, and after that until it is so
	// or is no longer waited for.
	CameBack *bool `json:"came_back,omitempty"`
	// Notes are what a reader should know: what else happened meanwhile.
	Notes []string `json:"notes,omitempty"`
}

// DrillPolicy is what a drill did to a policy in one family.
type DrillPolicy struct {
	Instance     string `json:"instance"`
	AccessDomain string `json:"access_domain"`
	Policy       string `json:"policy"`
	Family       string `json:"family"`
	// TTL is that of the answers before, in seconds, TTLDuring that once the drill had begun: so long resolvers keep an answer.
	TTL       uint32 `json:"ttl"`
	TTLDuring uint32 `json:"ttl_during"`
	// Before, During and After are the sets in force, "none" where nothing is answered: when the drill began, once it had begun, and
	// as it is since the end, "gone" when there is no such policy any more. After is empty while the drill runs.
	Before string `json:"before"`
	During string `json:"during"`
	After  string `json:"after,omitempty"`
	// AnswerBefore, AnswerDuring and AnswerAfter are the records that its clients are served, by weight some of them: see
	// [MaxDrillRecords].
	AnswerBefore []string `json:"answer_before"`
	AnswerDuring []string `json:"answer_during"`
	AnswerAfter  []string `json:"answer_after,omitempty"`
	// Changed is when the answer first was another than before: from then on, and for TTL at most, clients may still get the old one
	// from resolvers. Nil: it never was.
	Changed *time.Time `json:"changed,omitempty"`
	// Restored is when, after the drill, set and answer were as before; TTLDuring is how long clients may get the other one yet.
	Restored *time.Time `json:"restored,omitempty"`
	// Switches are those of the policy while the drill ran and until it came back, the oldest first.
	Switches []Switch `json:"switches,omitempty"`
}

// Bounds of a report.
const (
	MaxDrills        = 100 // drills remembered, beside those that run
	MaxDrillPolicies = 100 // policies of a drill
	MaxDrillRecords  = 20  // records of an answer; one more text then says how many there are
)

// DrillList is the answer of GET /api/v1/drills, the latest first.
type DrillList struct {
	Drills []Drill `json:"drills"`
	Part
}

// StopDrillRequest asks for the end of a drill.
type StopDrillRequest struct {
	ID     string `json:"id"`
	Author string `json:"author"`
}

// Check says everything that makes no sense in a request.
func (r *StopDrillRequest) Check() error {
	var problems []string
	if !IsDrillID(r.ID) {
		problems = append(problems, fmt.Sprintf("id %q: want one such as d3", r.ID))
	}
	return joinProblems(append(problems, checkText("author", r.Author, maxName)...))
}

// IsDrillID reports whether a text has the form of the ID of a drill, "d" and a number such as d3.
func IsDrillID(text string) bool {
	digits, found := strings.CutPrefix(text, "d")
	return found && digits != "" && strings.Trim(digits, "0123456789") == ""
}

// DrillError is why a drill is refused unless it is forced.
type DrillError struct {
	Why []string // at least one
}

// TakesForce reports whether a change is refused only because it is not forced: by an [*EmptyError] or a [*DrillError].
func TakesForce(err error) bool {
	_, empties := errors.AsType[*EmptyError](err)
	_, drills := errors.AsType[*DrillError](err)
	return empties || drills
}

func (e *DrillError) Error() string {
	return "refused: " + strings.Join(e.Why, "; ") + ". It takes force to do it all the same"
}
