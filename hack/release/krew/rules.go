package krew

import (
	"errors"
	"fmt"
	"net/url"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode/utf8"

	"k8s.io/apimachinery/pkg/util/version"
	"sigs.k8s.io/yaml"
)

const (
	apiVersion = "krew.googlecontainertools.github.com/v1alpha2"
	// shortest is where `krew search` cuts a short description off.
	shortest = 50
	// widest is a line of a description, by the reviewers of the central index.
	widest = 80
)

var (
	// safe is krew's own rule for names; words is its naming guide's.
	safe  = regexp.MustCompile(`^[\w-]+$`)
	words = regexp.MustCompile(`^[a-z][a-z0-9]*(-[a-z0-9]+)*$`)
	sum   = regexp.MustCompile(`^[a-f0-9]{64}$`)
	// devices are files on Windows, whatever follows them
	// (krew: internal/index/validation/validate.go).
	devices = regexp.MustCompile(`(?i)^(CON|PRN|AUX|NUL|COM[1-9]|LPT[1-9])$`)
)

// Check says everything that is wrong with the manifest in a file of that name.
func Check(file string, text []byte) (Manifest, error) {
	var m Manifest
	// krew ignores what it does not know, so a misspelt field would be lost.
	if err := yaml.UnmarshalStrict(text, &m); err != nil {
		return m, fmt.Errorf("%s: %w", file, err)
	}
	faults := slices.Concat(m.identity(file), m.words())
	for i, p := range m.Spec.Platforms {
		for _, fault := range p.faults() {
			faults = append(faults, fmt.Errorf("spec.platforms[%d]: %w", i, fault))
		}
	}
	faults = append(faults, m.selection()...)
	for i, fault := range faults {
		faults[i] = fmt.Errorf("%s: %w", file, fault)
	}
	return m, errors.Join(faults...)
}

// identity is about what the plugin is.
func (m Manifest) identity(file string) (faults []error) {
	is := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	name := m.Metadata.Name
	is(m.APIVersion != apiVersion, "apiVersion is %q, want %q", m.APIVersion, apiVersion)
	is(m.Kind != "Plugin", "kind is %q, want Plugin", m.Kind)
	is(filepath.Ext(file) != ".yaml", "the file ends in %q, want .yaml", filepath.Ext(file))
	is(name != strings.TrimSuffix(filepath.Base(file), ".yaml"), "metadata.name is %q, want the file's name", name)
	is(!safe.MatchString(name), "metadata.name is %q: want letters, digits, _ and - only", name)
	is(devices.MatchString(name), "metadata.name is %q, which is a device on Windows", name)
	is(!words.MatchString(name), "metadata.name is %q: want words in lower case with hyphens between", name)
	is(strings.Contains(name, "kube"), "metadata.name is %q: kube says nothing in a name of a kubectl plugin", name)
	faults = append(faults, tagFault(m.Spec.Version))
	return slices.DeleteFunc(faults, func(fault error) bool { return fault == nil })
}

// tagFault says what is wrong with a version: krew wants a semantic one (all
// three numbers) that begins with v.
func tagFault(tag string) error {
	if !strings.HasPrefix(tag, "v") {
		return fmt.Errorf("spec.version is %q, which does not begin with v", tag)
	}
	if _, err := version.ParseSemantic(tag); err != nil {
		return fmt.Errorf("spec.version: %w", err)
	}
	return nil
}

// words is about what people read.
func (m Manifest) words() (faults []error) {
	is := func(wrong bool, format string, args ...any) {
		if wrong {
			faults = append(faults, fmt.Errorf(format, args...))
		}
	}
	short := m.Spec.ShortDescription
	is(short == "", "spec.shortDescription is missing")
	is(strings.ContainsAny(short, "\r\n"), "spec.shortDescription has more than one line")
	is(utf8.RuneCountInString(short) > shortest, "spec.shortDescription has %d characters, krew search shows %d",
		utf8.RuneCountInString(short), shortest)
	is(strings.TrimSpace(m.Spec.Description) == "", "spec.description is missing")
	is(strings.Contains(m.Spec.Description, "kubectl "), "spec.description has an example: they belong into --help")
	for field, text := range map[string]string{"description": m.Spec.Description, "caveats": m.Spec.Caveats} {
		for line := range strings.Lines(text) {
			line = strings.TrimSuffix(line, "\n")
			is(utf8.RuneCountInString(line) > widest, "spec.%s has a line of %d characters, want at most %d: %q",
				field, utf8.RuneCountInString(line), widest, line)
		}
	}
	home, err := url.Parse(m.Spec.Homepage)
	is(err != nil || home.Scheme != "https" || home.Host == "", "spec.homepage is %q, want an https address",
		m.Spec.Homepage)
	return faults
}
