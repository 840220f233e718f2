package status

import (
	"time"

	"k8s.io/apimachinery/pkg/types"

	"github.com/backendtls/backendtls/internal/report"
)

// The floor under an object that somebody else writes too. The first answer is
// immediate, because most disturbances happen once.
const (
	floorLeast = time.Second
	floorMost  = time.Minute
	// quiet is how long nobody may disturb an object until the next disturbance
	// counts as the first.
	quiet = 2 * floorMost
	// conflictsFree is how many conflicts in a row are answered by trying again
	// as soon as there is something newer to read.
	conflictsFree = 3
	// conflictFloorLeast doubles with each further conflict, up to
	// conflictFloorMost: whoever writes that often can be let alone for as long.
	conflictFloorLeast = 100 * time.Millisecond
	conflictFloorMost  = 5 * time.Second
	// fightAfter is the disturbance in a row that is worth a line in the log.
	fightAfter = 3
)

// track is what is remembered of one object between two writes. Only the worker
// that has the object's key uses it.
type track struct {
	// uid is the object's: another object of that name starts anew.
	uid types.UID
	// wrote is what of ours was last written; nil for nothing yet.
	wrote *report.Report
	// replaced is the resourceVersion that the last write replaced: an object
	// that still has it is what the cache has not replaced yet.
	replaced string
	// rewrites counts what was put back in a row, lastly at rewritten.
	rewrites  int
	rewritten time.Time
	// conflicts counts those in a row.
	conflicts int
	// notBefore holds back the next write of the object.
	notBefore time.Time
	// gone counts the writes in a row that found no object.
	gone int
	// unsaid is what the last write would have changed if it took place, which is
	// not known; nil if that is known.
	unsaid *unsaid
}

// disturbed takes note of a write that puts back what somebody changed. It says
// whether the log has to tell.
func (t *track) disturbed(now time.Time) bool {
	if now.Sub(t.rewritten) > quiet {
		t.rewrites = 0
	}
	t.rewrites++
	t.rewritten = now
	if t.rewrites > 1 {
		t.notBefore = now.Add(doubled(floorLeast, t.rewrites-2, floorMost))
	}
	return t.rewrites == fightAfter
}

// conflicted takes note of a write that came too late. It says whether the log
// has to tell.
func (t *track) conflicted(now time.Time) bool {
	t.conflicts++
	if t.conflicts > conflictsFree {
		t.notBefore = now.Add(doubled(conflictFloorLeast, t.conflicts-conflictsFree-1, conflictFloorMost))
	}
	return t.conflicts == conflictsFree+1
}

// doubled is least, doubled so many times, at the most most.
func doubled(least time.Duration, times int, most time.Duration) time.Duration {
	for ; times > 0 && least < most; times-- {
		least *= 2
	}
	return min(least, most)
}
