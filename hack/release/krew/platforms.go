package krew

import (
	"errors"
	"fmt"
	"net/url"
	"path"
	"slices"
	"strings"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/labels"
)

// Machine is what krew runs on.
type Machine struct{ OS, Arch string }

func (m Machine) String() string { return m.OS + "/" + m.Arch }

// machines are all that the check of the central index knows; an entry for any
// other is refused (krew: cmd/validate-krew-manifest/main.go, allPlatforms).
var machines = []Machine{
	{"windows", "386"},
	{"windows", "amd64"},
	{"windows", "arm64"},
	{"linux", "386"},
	{"linux", "amd64"},
	{"linux", "arm"},
	{"linux", "arm64"},
	{"linux", "ppc64le"},
	{"darwin", "386"},
	{"darwin", "amd64"},
	{"darwin", "arm64"},
}

// matches says whether the platform is for a machine.
func (p Platform) matches(m Machine) bool {
	selector, err := metav1.LabelSelectorAsSelector(p.Selector)
	return err == nil && selector.Matches(labels.Set{"os": m.OS, "arch": m.Arch})
}

// For is the platform that krew installs on a machine: the first that matches.
func (m Manifest) For(machine Machine) (Platform, error) {
	for _, p := range m.Spec.Platforms {
		if p.matches(machine) {
			return p, nil
		}
	}
	return Platform{}, fmt.Errorf("%s has nothing for %s", m.Metadata.Name, machine)
}

// selection is about platforms together: each is for some machine, and no
// machine has two.
func (m Manifest) selection() (faults []error) {
	if len(m.Spec.Platforms) == 0 {
		return []error{errors.New("spec.platforms is missing")}
	}
	for i, p := range m.Spec.Platforms {
		if _, err := p.Machine(); err != nil {
			faults = append(faults, fmt.Errorf("spec.platforms[%d]: %w", i, err))
		}
	}
	for _, machine := range machines {
		var both []int
		for i, p := range m.Spec.Platforms {
			if p.matches(machine) {
				both = append(both, i)
			}
		}
		if len(both) > 1 {
			faults = append(faults, fmt.Errorf("spec.platforms %v are all for %s", both, machine))
		}
	}
	return faults
}

// faults are those of one platform.
func (p Platform) faults() []error {
	var faults []error
	is := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	address, err := url.Parse(p.URI)
	is(err != nil || address.Scheme != "https" && address.Scheme != "http" || address.Host == "",
		"uri is %q: krew downloads by https and http only", p.URI)
	is(!strings.HasSuffix(p.URI, ".tar.gz") && !strings.HasSuffix(p.URI, ".zip"), "uri is %q: want .tar.gz or .zip", p.URI)
	is(!sum.MatchString(p.SHA256), "sha256 is %q: want 64 digits of hex in lower case", p.SHA256)
	is(p.Bin == "", "bin is missing")
	is(p.Bin != "" && (!clean(p.Bin) || strings.HasPrefix(p.Bin, "..")),
		"bin is %q: want a clean path in the archive", p.Bin)
	// Without the suffix krew links the program all the same, and Windows cannot
	// run it: no check of krew's shows it.
	windows := slices.ContainsFunc(machines, func(m Machine) bool { return m.OS == "windows" && p.matches(m) })
	is(windows != strings.HasSuffix(p.Bin, ".exe"), "bin is %q: want .exe on Windows and only there", p.Bin)
	return slices.Concat(faults, p.moves(), p.selector())
}

// clean says whether a path is as filepath.Clean leaves it: krew refuses "./x",
// which its documentation shows.
func clean(to string) bool { return to == path.Clean(to) && !path.IsAbs(to) }

// moves are the faults of files.
func (p Platform) moves() []error {
	if p.Files == nil {
		return nil
	}
	if len(p.Files) == 0 {
		return []error{errors.New("files is there and empty: leave it away to install everything")}
	}
	var faults []error
	for i, move := range p.Files {
		switch {
		case move.From == "" || move.To == "":
			faults = append(faults, fmt.Errorf("files[%d]: from and to are both needed", i))
		case !clean(move.To):
			faults = append(faults, fmt.Errorf("files[%d].to is %q: the clean path is %q", i, move.To, path.Clean(move.To)))
		}
	}
	return faults
}

// selector are the faults of the selector.
func (p Platform) selector() []error {
	s := p.Selector
	if s == nil || len(s.MatchLabels) == 0 && len(s.MatchExpressions) == 0 {
		return []error{errors.New("selector is missing or empty: want os and arch")}
	}
	var faults []error
	if s.MatchLabels != nil && len(s.MatchLabels) == 0 {
		faults = append(faults, errors.New("selector.matchLabels is there and empty"))
	}
	if s.MatchExpressions != nil && len(s.MatchExpressions) == 0 {
		faults = append(faults, errors.New("selector.matchExpressions is there and empty"))
	}
	var keys []string
	for key := range s.MatchLabels {
		keys = append(keys, key)
	}
	for _, expression := range s.MatchExpressions {
		keys = append(keys, expression.Key)
	}
	for _, key := range keys {
		if key != "os" && key != "arch" {
			faults = append(faults, fmt.Errorf("selector: %q is neither os nor arch", key))
		}
	}
	return faults
}
