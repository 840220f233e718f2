package flow

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	corev1 "k8s.io/api/core/v1"
)

// Connection is a line of a table of flows: who connects to whom, by names that
// the table's reader gives to Ends.
type Connection struct {
	From, To string
	Target   Target
}

// Parse reads a Connection, such as "web -> db TCP/5432".
func Parse(line string) (Connection, error) {
	fields := strings.Fields(line)
	if len(fields) != 4 || fields[1] != "->" {
		return Connection{}, fmt.Errorf("%q is not of the form FROM -> TO PROTOCOL/PORT", line)
	}
	protocol, number, _ := strings.Cut(fields[3], "/")
	port, err := strconv.ParseUint(number, 10, 16)
	if err != nil {
		return Connection{}, fmt.Errorf("%q: port: %w", line, err)
	}
	known := []corev1.Protocol{corev1.ProtocolTCP, corev1.ProtocolUDP, corev1.ProtocolSCTP}
	if !slices.Contains(known, corev1.Protocol(protocol)) {
		return Connection{}, fmt.Errorf("%q: protocol is %q, not TCP, UDP or SCTP", line, protocol)
	}
	return Connection{
		From: fields[0], To: fields[2], Target: Target{Protocol: corev1.Protocol(protocol), Port: int32(port)},
	}, nil
}
