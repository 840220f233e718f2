package krew

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"os"
	"path"
	"path/filepath"
	"strings"
	"text/template"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
)

// Manifest is a plugin in an index (krew: pkg/index/types.go).
type Manifest struct {
	APIVersion string `json:"apiVersion"`
	Kind       string `json:"kind"`
	Metadata   struct {
		Name string `json:"name"`
	} `json:"metadata"`
	Spec Spec `json:"spec"`
}

// Spec is what an index says of a plugin.
type Spec struct {
	Version          string     `json:"version"`
	ShortDescription string     `json:"shortDescription"`
	Description      string     `json:"description"`
	Caveats          string     `json:"caveats"`
	Homepage         string     `json:"homepage"`
	Platforms        []Platform `json:"platforms"`
}

// Platform is what is installed where its selector matches os and arch.
type Platform struct {
	URI      string                `json:"uri"`
	SHA256   string                `json:"sha256"`
	Selector *metav1.LabelSelector `json:"selector"`
	Files    []Move                `json:"files"`
	// Bin is the program, by its path after the moves.
	Bin string `json:"bin"`
}

// Move is which files of an archive, by glob, are installed where.
type Move struct {
	From string `json:"from"`
	To   string `json:"to"`
}

// Render renders the template of a manifest for a tag as krew-release-bot does.
// archive is asked for each archive by its address: where it is to be had, and
// its SHA-256.
func Render(text []byte, tag string, archive func(url string) (uri, sum string, err error)) ([]byte, error) {
	values := map[string]string{"TagName": tag}
	functions := template.FuncMap{
		"addURIAndSha": func(url, tag string) (string, error) {
			address, err := fill(template.New("url"), url, map[string]string{"TagName": tag})
			if err != nil {
				return "", err
			}
			uri, sum, err := archive(string(address))
			if err != nil {
				return "", err
			}
			// Four spaces is what the bot writes, wherever the first line stands.
			return "uri: " + uri + "\n    sha256: " + sum, nil
		},
	}
	return fill(template.New(".krew.yaml").Funcs(functions), stripComment(string(text)), values)
}

// stripComment takes the comment at the beginning away: it is about the
// template.
func stripComment(text string) string {
	for strings.HasPrefix(text, "#") {
		_, text, _ = strings.Cut(text, "\n")
	}
	return text
}

func fill(t *template.Template, text string, values map[string]string) ([]byte, error) {
	parsed, err := t.Option("missingkey=error").Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the template of the manifest: %w", err)
	}
	var filled bytes.Buffer
	if err := parsed.Execute(&filled, values); err != nil {
		return nil, fmt.Errorf("the template of the manifest: %w", err)
	}
	return filled.Bytes(), nil
}

// Archives answers Render for the archives in a directory. They are to be had
// below base, or, if that is empty, where the template says.
func Archives(dir, base string) func(url string) (uri, sum string, err error) {
	return func(url string) (string, string, error) {
		name := path.Base(url)
		content, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			return "", "", err
		}
		if base != "" {
			url = strings.TrimSuffix(base, "/") + "/" + name
		}
		return url, fmt.Sprintf("%x", sha256.Sum256(content)), nil
	}
}

// File is the file name of the platform's archive.
func (p Platform) File() string { return path.Base(p.URI) }

// Machine is the machine that the platform is for.
func (p Platform) Machine() (Machine, error) {
	for _, machine := range machines {
		if p.matches(machine) {
			return machine, nil
		}
	}
	return Machine{}, errors.New("the selector matches no machine that krew knows")
}

// VersionOf is the one version that the archives of a plugin in a directory
// have, with its v.
func VersionOf(archives, plugin string) (string, error) {
	const suffix = "_linux_amd64.tar.gz"
	prefix := "kubectl-" + plugin + "_"
	found, err := filepath.Glob(filepath.Join(archives, prefix+"v*"+suffix))
	if err != nil {
		return "", err
	}
	if len(found) != 1 {
		return "", fmt.Errorf("%s has %d archives %sVERSION%s, want one: %q", archives, len(found), prefix, suffix, found)
	}
	return strings.TrimSuffix(strings.TrimPrefix(filepath.Base(found[0]), prefix), suffix), nil
}
