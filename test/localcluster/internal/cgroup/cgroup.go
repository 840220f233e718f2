package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Group is a control group in every hierarchy that is mounted.
type Group struct {
	// Name is the path below each hierarchy's root, with a leading slash.
	Name        string
	hierarchies []hierarchy
}

type hierarchy struct {
	root        string
	controllers []string
	unified     bool
}

// Named returns the group of the cluster with this hash; it need not exist.
func Named(hash string) (Group, error) {
	content, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return Group{}, fmt.Errorf("find control groups: %w", err)
	}
	hierarchies := parse(string(content))
	if len(hierarchies) == 0 {
		return Group{}, errors.New("no control groups are mounted on this system (below /sys/fs/cgroup)")
	}
	return Group{Name: "/backendtls-" + hash, hierarchies: hierarchies}, nil
}

// parse finds the hierarchies in the content of mountinfo, see proc(5): the
// type and the super block's options stand behind a lone hyphen.
func parse(mountinfo string) []hierarchy {
	var found []hierarchy
	for line := range strings.Lines(mountinfo) {
		before, after, _ := strings.Cut(line, " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if len(left) < 5 || len(right) < 3 || (right[0] != "cgroup" && right[0] != "cgroup2") {
			continue
		}
		found = append(found, hierarchy{
			root:        left[4],
			controllers: strings.Split(right[2], ","),
			unified:     right[0] == "cgroup2",
		})
	}
	return found
}

// Daemons is the path of the group that Join puts processes into.
func (g Group) Daemons() string {
	return filepath.Join(g.home().root, g.Name, "daemons")
}

// home is the hierarchy that remembers the daemons: the one of the pids
// controller, which every container runtime needs too, or the unified one.
func (g Group) home() hierarchy {
	for _, h := range g.hierarchies {
		if slices.Contains(h.controllers, "pids") {
			return h
		}
	}
	for _, h := range g.hierarchies {
		if h.unified {
			return h
		}
	}
	return g.hierarchies[0]
}

// Make makes the group in all hierarchies, with every controller, so that the
// kubelet finds it.
func (g Group) Make() error {
	for _, h := range g.hierarchies {
		directory := filepath.Join(h.root, g.Name)
		if err := os.MkdirAll(directory, 0o755); err != nil {
			return fmt.Errorf("make a control group: %w", err)
		}
		// Beside others the unified hierarchy controls nothing.
		if !h.unified || len(g.hierarchies) > 1 {
			continue
		}
		for _, parent := range []string{h.root, directory} {
			if err := delegate(parent); err != nil {
				return err
			}
		}
	}
	return nil
}

// delegate gives the groups below one of the unified hierarchy all controllers
// that it has itself.
func delegate(directory string) error {
	content, err := os.ReadFile(filepath.Join(directory, "cgroup.controllers"))
	if err != nil {
		return fmt.Errorf("controllers of a control group: %w", err)
	}
	for controller := range strings.FieldsSeq(string(content)) {
		file := filepath.Join(directory, "cgroup.subtree_control")
		if err := os.WriteFile(file, []byte("+"+controller), 0o644); err != nil {
			return fmt.Errorf("give the control groups below %s the controller %s: %w", directory, controller, err)
		}
	}
	return nil
}

// Join puts the process and all it will start into the group.
func (g Group) Join(pid int) error {
	if err := os.MkdirAll(g.Daemons(), 0o755); err != nil {
		return fmt.Errorf("make a control group: %w", err)
	}
	procs := filepath.Join(g.Daemons(), "cgroup.procs")
	if err := os.WriteFile(procs, []byte(strconv.Itoa(pid)), 0o644); err != nil {
		return fmt.Errorf("join the control group %s: %w", g.Daemons(), err)
	}
	return nil
}

// Processes lists what runs in the group, in all hierarchies.
func (g Group) Processes() ([]int, error) {
	pids := map[int]bool{}
	for _, directory := range g.directories() {
		content, err := os.ReadFile(filepath.Join(directory, "cgroup.procs"))
		if errors.Is(err, fs.ErrNotExist) || errors.Is(err, unix.ENODEV) {
			continue // Removed meanwhile.
		}
		if err != nil {
			return nil, fmt.Errorf("list processes: %w", err)
		}
		for field := range strings.FieldsSeq(string(content)) {
			// Zero is a process of another process namespace.
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids[pid] = true
			}
		}
	}
	list := make([]int, 0, len(pids))
	for pid := range pids {
		list = append(list, pid)
	}
	slices.Sort(list)
	return list, nil
}

// Exists says whether the group is there in any hierarchy.
func (g Group) Exists() bool { return len(g.directories()) > 0 }

// directories are all groups at and below this one, the deepest first.
func (g Group) directories() []string {
	var found []string
	for _, h := range g.hierarchies {
		// What vanishes during the walk need not be found.
		_ = filepath.WalkDir(filepath.Join(h.root, g.Name), func(path string, entry fs.DirEntry, err error) error {
			if err == nil && entry.IsDir() {
				found = append(found, path)
			}
			return nil
		})
	}
	slices.SortFunc(found, func(a, b string) int { return len(b) - len(a) })
	return found
}

// Kill ends all processes of the group at once and waits until none is left.
// It returns how many there were.
func (g Group) Kill(ctx context.Context) (int, error) {
	seen := map[int]bool{}
	for {
		pids, err := g.Processes()
		if err != nil || len(pids) == 0 {
			return len(seen), err
		}
		g.thaw()
		for _, pid := range pids {
			seen[pid] = true
			if err := unix.Kill(pid, unix.SIGKILL); err != nil && !errors.Is(err, unix.ESRCH) {
				return len(seen), fmt.Errorf("kill process %d: %w", pid, err)
			}
		}
		if err := pause(ctx); err != nil {
			return len(seen), fmt.Errorf("processes %v do not end: %w", pids, err)
		}
	}
}

// thaw lets frozen containers run, because a frozen process does not die.
func (g Group) thaw() {
	for _, directory := range g.directories() {
		_ = os.WriteFile(filepath.Join(directory, "freezer.state"), []byte("THAWED"), 0)
		_ = os.WriteFile(filepath.Join(directory, "cgroup.freeze"), []byte("0"), 0)
	}
}

// Remove deletes the group in all hierarchies; its processes must be gone.
func (g Group) Remove(ctx context.Context) error {
	for {
		var last error
		for _, directory := range g.directories() {
			if err := unix.Rmdir(directory); err != nil && !errors.Is(err, unix.ENOENT) {
				last = fmt.Errorf("remove the control group %s: %w", directory, err)
			}
		}
		if last == nil {
			return nil
		}
		// The kernel lets go of a group a moment after its last process.
		if err := pause(ctx); err != nil {
			return last
		}
	}
}

func pause(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-time.After(20 * time.Millisecond):
		return nil
	}
}
