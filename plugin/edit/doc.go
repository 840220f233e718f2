// Package edit turns a decision into changed objects: Pin, Unpin and
// SkipVerify are pure functions from a policy and what the endpoints serve to
// an Edit of a few fields, and File puts an Edit into a file with everything
// else, comments included, left as it was. It asks nobody and shows nothing.
package edit
