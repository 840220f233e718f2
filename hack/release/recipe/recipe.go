package recipe

import (
	"errors"
	"fmt"
	"os"
	"strings"
	"text/template"
	"time"

	"sigs.k8s.io/yaml"
)

// Recipe is what .goreleaser.yaml says about archives. What it says about
// anything else is GoReleaser's alone.
type Recipe struct {
	Version     int       `json:"version"`
	ProjectName string    `json:"project_name"`
	Dist        string    `json:"dist"`
	Builds      []build   `json:"builds"`
	Archives    []archive `json:"archives"`
	Checksum    struct {
		NameTemplate string `json:"name_template"`
		ExtraFiles   any    `json:"extra_files"`
	} `json:"checksum"`

	Before   any `json:"before"`
	Snapshot any `json:"snapshot"`
	SBOMs    any `json:"sboms"`
	Signs    any `json:"signs"`
	Release  any `json:"release"`
}

// build is how a program is built.
type build struct {
	ID           string   `json:"id"`
	Main         string   `json:"main"`
	Binary       string   `json:"binary"`
	Env          []string `json:"env"`
	GOOS         []string `json:"goos"`
	GOARCH       []string `json:"goarch"`
	Flags        []string `json:"flags"`
	LDFlags      []string `json:"ldflags"`
	ModTimestamp string   `json:"mod_timestamp"`
}

// archive is what an archive is called and holds.
type archive struct {
	ID              string   `json:"id"`
	NameTemplate    string   `json:"name_template"`
	Formats         []string `json:"formats"`
	FormatOverrides []struct {
		GOOS    string   `json:"goos"`
		Formats []string `json:"formats"`
	} `json:"format_overrides"`
	BuildsInfo info   `json:"builds_info"`
	Files      []file `json:"files"`
}

// file is one more file of an archive.
type file struct {
	Src  string `json:"src"`
	Info info   `json:"info"`
}

// info is who owns a file of an archive.
type info struct {
	Owner string      `json:"owner"`
	Group string      `json:"group"`
	Mode  os.FileMode `json:"mode"`
	MTime string      `json:"mtime"`
}

// Platform is what a program runs on, in Go's words.
type Platform struct{ OS, Arch string }

func (p Platform) String() string { return p.OS + "/" + p.Arch }

// Read reads .goreleaser.yaml.
func Read(path string) (*Recipe, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	r := &Recipe{}
	if err := yaml.UnmarshalStrict(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	if len(r.Builds) != 1 || len(r.Archives) != 1 {
		return nil, fmt.Errorf("%s: %d builds and %d archives, want one of each", path, len(r.Builds), len(r.Archives))
	}
	if r.Builds[0].ModTimestamp != "{{ .CommitTimestamp }}" {
		return nil, fmt.Errorf("%s: mod_timestamp is %q, want the commit's, or no two builds are the same bytes",
			path, r.Builds[0].ModTimestamp)
	}
	return r, nil
}

// Platforms are those of the recipe.
func (r *Recipe) Platforms() []Platform {
	var platforms []Platform
	for _, goos := range r.Builds[0].GOOS {
		for _, goarch := range r.Builds[0].GOARCH {
			platforms = append(platforms, Platform{OS: goos, Arch: goarch})
		}
	}
	return platforms
}

// Release is what is released.
type Release struct {
	// Tag is the version with its v, as v1.2.3.
	Tag string
	// Commit is the time of the commit, which all files of archives have.
	Commit time.Time
}

// expand fills in a template of the recipe.
func (release Release) expand(text string, platform Platform) (string, error) {
	version, begins := strings.CutPrefix(release.Tag, "v")
	if !begins {
		return "", fmt.Errorf("the tag %q does not begin with v", release.Tag)
	}
	parsed, err := template.New("").Option("missingkey=error").Parse(text)
	if err != nil {
		return "", err
	}
	var filled strings.Builder
	err = parsed.Execute(&filled, map[string]string{
		"Version":         version,
		"Os":              platform.OS,
		"Arch":            platform.Arch,
		"CommitDate":      release.Commit.UTC().Format(time.RFC3339),
		"CommitTimestamp": fmt.Sprint(release.Commit.Unix()),
	})
	if err != nil {
		return "", fmt.Errorf("%q: %w", text, err)
	}
	return filled.String(), nil
}

// format is that of a platform's archive.
func (a archive) format(platform Platform) (string, error) {
	formats := a.Formats
	for _, override := range a.FormatOverrides {
		if override.GOOS == platform.OS {
			formats = override.Formats
		}
	}
	if len(formats) != 1 {
		return "", fmt.Errorf("%v for %s: want one format", formats, platform)
	}
	if formats[0] != "tar.gz" && formats[0] != "zip" {
		return "", errors.New(formats[0] + ": krew takes tar.gz and zip only")
	}
	return formats[0], nil
}
