package image

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"runtime"
	"slices"
	"strings"

	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// Spec is what an image consists of.
type Spec struct {
	// Name has a registry, a repository and a tag.
	Name string
	// Entrypoint is the program in the image.
	Entrypoint []string
	// Arguments are the program's, where a pod names none.
	Arguments []string
	// User is a numeric user id; its group has the same number.
	User string
	// Files are the paths in the image and the files on this host that become
	// them. Executable bits are kept; links are followed.
	Files map[string]string
}

// Result tells what was made.
type Result struct {
	// Size is that of the compressed layer, as a registry would hold it, in
	// bytes.
	Size int64
	// Digest identifies the image.
	Digest string
}

// Write makes the image and writes it to a tar file that containerd and Docker
// import.
func (s Spec) Write(out string) (Result, error) {
	tag, err := name.NewTag(s.Name, name.StrictValidation)
	if err != nil {
		return Result{}, fmt.Errorf("image name: %w", err)
	}
	built, err := s.build()
	if err != nil {
		return Result{}, fmt.Errorf("image %s: %w", s.Name, err)
	}
	temporary := out + ".new"
	if err := tarball.WriteToFile(temporary, tag, built); err != nil {
		return Result{}, fmt.Errorf("image %s: %w", s.Name, err)
	}
	if err := os.Rename(temporary, out); err != nil {
		return Result{}, fmt.Errorf("image %s: %w", s.Name, err)
	}
	return describe(built)
}

func describe(built v1.Image) (Result, error) {
	manifest, err := built.Manifest()
	if err != nil {
		return Result{}, err
	}
	digest, err := built.Digest()
	if err != nil {
		return Result{}, err
	}
	result := Result{Size: manifest.Config.Size, Digest: digest.String()}
	for _, layer := range manifest.Layers {
		result.Size += layer.Size
	}
	return result, nil
}

func (s Spec) build() (v1.Image, error) {
	content, err := s.tar()
	if err != nil {
		return nil, err
	}
	layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}, tarball.WithMediaType(types.DockerLayer))
	if err != nil {
		return nil, err
	}
	built, err := mutate.AppendLayers(empty.Image, layer)
	if err != nil {
		return nil, err
	}
	file, err := built.ConfigFile()
	if err != nil {
		return nil, err
	}
	file = file.DeepCopy()
	file.OS, file.Architecture = "linux", runtime.GOARCH
	file.Config = v1.Config{
		Entrypoint: s.Entrypoint,
		Cmd:        s.Arguments,
		User:       s.User,
		WorkingDir: "/",
		Env:        []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"},
	}
	return mutate.ConfigFile(built, file)
}

// tar is the layer: directories first, all of the same age, all root's.
func (s Spec) tar() ([]byte, error) {
	var content bytes.Buffer
	writer := tar.NewWriter(&content)
	for _, directory := range s.directories() {
		mode := int64(0o755)
		if directory == "tmp/" {
			mode = 0o1777
		}
		header := &tar.Header{Typeflag: tar.TypeDir, Name: directory, Mode: mode, Format: tar.FormatPAX}
		if err := writer.WriteHeader(header); err != nil {
			return nil, err
		}
	}
	for _, target := range sortedKeys(s.Files) {
		file, err := os.ReadFile(s.Files[target])
		if err != nil {
			return nil, err
		}
		info, err := os.Stat(s.Files[target])
		if err != nil {
			return nil, err
		}
		mode := int64(0o644)
		if info.Mode()&0o111 != 0 {
			mode = 0o755
		}
		if err := add(writer, target, file, mode); err != nil {
			return nil, err
		}
	}
	if s.User != "" {
		for target, line := range s.accounts() {
			if err := add(writer, target, []byte(line), 0o644); err != nil {
				return nil, err
			}
		}
	}
	if err := writer.Close(); err != nil {
		return nil, err
	}
	return content.Bytes(), nil
}

// accounts name the user, for programs that ask who they are.
func (s Spec) accounts() func(func(string, string) bool) {
	return func(yield func(string, string) bool) {
		if !yield("/etc/group", fmt.Sprintf("root:x:0:\nnonroot:x:%s:\n", s.User)) {
			return
		}
		yield("/etc/passwd", fmt.Sprintf(
			"root:x:0:0:root:/:/sbin/nologin\nnonroot:x:%s:%s:nonroot:/:/sbin/nologin\n", s.User, s.User))
	}
}

func add(writer *tar.Writer, target string, content []byte, mode int64) error {
	header := &tar.Header{
		Typeflag: tar.TypeReg, Name: strings.TrimPrefix(target, "/"), Size: int64(len(content)), Mode: mode,
		Format: tar.FormatPAX,
	}
	if err := writer.WriteHeader(header); err != nil {
		return err
	}
	_, err := writer.Write(content)
	return err
}

// directories are all that lead to a file, parents first.
func (s Spec) directories() []string {
	found := map[string]string{"tmp/": ""}
	targets := sortedKeys(s.Files)
	if s.User != "" {
		targets = append(targets, "/etc/passwd")
	}
	for _, target := range targets {
		for directory := path.Dir(target); directory != "/"; directory = path.Dir(directory) {
			found[strings.TrimPrefix(directory, "/")+"/"] = ""
		}
	}
	return sortedKeys(found)
}

// AddFile adds a file, written SOURCE:TARGET.
func (s *Spec) AddFile(pair string) error {
	source, target, ok := strings.Cut(pair, ":")
	if !ok || source == "" || !path.IsAbs(target) {
		return fmt.Errorf("file %q: must be SOURCE:TARGET, and TARGET a path from the image's root", pair)
	}
	if _, err := os.Stat(source); err != nil {
		return fmt.Errorf("file %q: %w", pair, err)
	}
	s.Files[filepath.Clean(target)] = source
	return nil
}

func sortedKeys(m map[string]string) []string {
	keys := make([]string, 0, len(m))
	for key := range m {
		keys = append(keys, key)
	}
	slices.Sort(keys)
	return keys
}
