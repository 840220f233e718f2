package cluster

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"syscall"
	"testing"
)

// kill ends the process of a program in a pod as the kernel does when memory
// runs out: at once.
func kill(t *testing.T, pod, program string) {
	t.Helper()
	ids, err := processes(pod, program)
	if err != nil || len(ids) != 1 {
		t.Fatalf("the processes of %s in pod %s are %v (%v), want one", program, pod, ids, err)
	}
	if err := syscall.Kill(ids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
}

// processes are those of a program in a pod. A container has its pod's name in
// its environment, and the processes of the node are those of this machine.
func processes(pod, program string) (ids []int, err error) {
	files, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		environment, err := os.ReadFile(file)
		if err != nil || !slices.ContainsFunc(bytes.Split(environment, []byte{0}), func(variable []byte) bool {
			return string(variable) == "HOSTNAME="+pod
		}) {
			continue // It has ended, or is none of the pod's.
		}
		arguments, err := os.ReadFile(filepath.Join(filepath.Dir(file), "cmdline"))
		if err != nil {
			continue
		}
		name, _, _ := bytes.Cut(arguments, []byte{0})
		if filepath.Base(string(name)) != program {
			continue
		}
		id, err := strconv.Atoi(filepath.Base(filepath.Dir(file)))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", file, err)
		}
		ids = append(ids, id)
	}
	return ids, nil
}
