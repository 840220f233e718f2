package report

import (
	"fmt"
	"strings"
)

// maxList leaves room in a message of maxMessage bytes for what stands around a
// list.
const maxList = 3072

// List joins faults for a message. Those beyond what somebody would read are
// counted; the first is always there.
func List(faults []string) string {
	size := 0
	for i, fault := range faults {
		if size += len("; ") + len(fault); size > maxList {
			named := max(i, 1)
			text := shortenTo(strings.Join(faults[:named], "; "), maxList)
			if more := len(faults) - named; more > 0 {
				text += fmt.Sprintf("; ... and %d more", more)
			}
			return text
		}
	}
	return strings.Join(faults, "; ")
}
