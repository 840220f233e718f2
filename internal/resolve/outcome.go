package resolve

// Outcome is what whoever asked for a Build made of its Result. It is here for
// those who do and those who count it, who know nothing of each other.
type Outcome string

// The outcomes of a build.
const (
	// Whole: everything was decided and handed on.
	Whole Outcome = "whole"
	// Waiting: contents that are named were not read yet, nothing was handed on, and
	// the next build follows soon.
	Waiting Outcome = "waiting"
	// Partial: some Gateway could not be decided. Its backends answer 500, and
	// statuses stay as they were.
	Partial Outcome = "partial"
)

// Outcomes are all of them.
var Outcomes = []Outcome{Whole, Waiting, Partial}
