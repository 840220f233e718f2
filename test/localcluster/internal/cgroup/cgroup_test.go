package cgroup

import (
	"slices"
	"testing"
)

const hybrid = `24 29 0:22 / /proc rw,nosuid - proc proc rw
30 25 0:26 / /sys/fs/cgroup rw - tmpfs tmpfs rw,mode=755
31 30 0:27 / /sys/fs/cgroup/memory rw,relatime shared:5 master:6 - cgroup cgroup rw,memory
32 30 0:28 / /sys/fs/cgroup/pids rw,relatime - cgroup cgroup rw,pids
33 30 0:29 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw
`

const unified = `31 30 0:27 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw,nsdelegate
`

func TestHierarchiesAreFound(t *testing.T) {
	tests := map[string]struct {
		mountinfo string
		roots     []string
		daemons   string
	}{
		"both versions": {
			hybrid,
			[]string{"/sys/fs/cgroup/memory", "/sys/fs/cgroup/pids", "/sys/fs/cgroup/unified"},
			"/sys/fs/cgroup/pids/backendtls-x/daemons",
		},
		"the second version": {unified, []string{"/sys/fs/cgroup"}, "/sys/fs/cgroup/backendtls-x/daemons"},
		"none":               {"24 29 0:22 / /proc rw - proc proc rw\nnonsense\n", nil, ""},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			group := Group{Name: "/backendtls-x", hierarchies: parse(test.mountinfo)}
			var roots []string
			for _, hierarchy := range group.hierarchies {
				roots = append(roots, hierarchy.root)
			}
			if !slices.Equal(roots, test.roots) {
				t.Fatalf("found %v", roots)
			}
			if test.daemons != "" && group.Daemons() != test.daemons {
				t.Errorf("the daemons are in %s", group.Daemons())
			}
		})
	}
}
