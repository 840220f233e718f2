package watch

import "sync"

// askEach asks about each of several kinds, and has the errors in their order. A
// start waits for every answer, so that all are asked at once, but for the first:
// if what it comes to is final, asking on would only burden an API server that
// is in trouble. There are no errors of kinds that were not asked about.
func askEach(subjects []*subject, ask func(int, *subject) error, final func(error) bool) []error {
	if len(subjects) == 0 {
		return nil
	}
	first := ask(0, subjects[0])
	if final(first) {
		return []error{first}
	}
	errs := make([]error, len(subjects))
	errs[0] = first
	var all sync.WaitGroup
	for i, subject := range subjects[1:] {
		all.Go(func() { errs[i+1] = ask(i+1, subject) })
	}
	all.Wait()
	return errs
}
