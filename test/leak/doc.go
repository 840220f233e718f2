// Package leak fails tests that leave goroutines behind. It is go.uber.org/goleak
// with the patience of a busy machine, goleak's own being less than half a second,
// and with one list of what libraries leave behind that is none of ours.
//
//	func TestMain(m *testing.M) { leak.Main(m) }
package leak
