package manifest

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/report"
)

// Statuses are the statuses of objects as they were written, everybody's
// entries in them. Generation is the one that each was written for.
type Statuses map[gwapi.Key]report.Report

// StateDir is where standalone keeps its state unless told otherwise.
func StateDir(dir string) string { return filepath.Join(dir, ".backendtls") }

// StatusDir is where statuses are kept below a state directory.
func StatusDir(state string) string { return filepath.Join(state, "status") }

// statusFile is the form of a status in a file.
type statusFile struct {
	APIVersion string         `json:"apiVersion"`
	Kind       string         `json:"kind"`
	Name       string         `json:"name"`
	Namespace  string         `json:"namespace,omitempty"`
	Generation int64          `json:"generation"`
	Status     map[string]any `json:"status"`
}

// maxName is the longest name that a file may have on common file systems.
const maxName = 255

// StatusFile names the file of an object's status: KIND.NAMESPACE.NAME.yaml.
// Kinds and namespaces hold no dot, so that no two objects share a name; a
// cluster-scoped object has nothing between the dots. A name that is too long
// for a file ends in ~ and a digest of the key; no object's name holds a tilde.
func StatusFile(key gwapi.Key) string {
	const suffix = ".yaml"
	name := string(key.Kind) + "." + key.Namespace + "." + key.Name
	if len(name)+len(suffix) <= maxName {
		return name + suffix
	}
	sum := sha256.Sum256([]byte(name))
	digest := "~" + hex.EncodeToString(sum[:16])
	return name[:maxName-len(suffix)-len(digest)] + digest + suffix
}

// HasStatus says whether a status is reported on objects of that kind.
func HasStatus(kind gwapi.Kind) bool {
	d := definitionOfKind(kind)
	if d == nil {
		return false
	}
	_, ok := report.Of(d.new())
	return ok
}

// EncodeStatus is the content of a status file: the status as the API has it,
// below what says whose it is and for which generation it was written.
func EncodeStatus(key gwapi.Key, status report.Report) ([]byte, error) {
	if !HasStatus(key.Kind) {
		return nil, fmt.Errorf("%s: no status is kept of a %s", key, key.Kind)
	}
	object := definitionOfKind(key.Kind).new()
	report.Apply(status, object)
	content, err := runtime.DefaultUnstructuredConverter.ToUnstructured(object)
	if err != nil {
		return nil, fmt.Errorf("status of %s: %w", key, err)
	}
	fields, _ := content["status"].(map[string]any)
	return yaml.Marshal(statusFile{
		APIVersion: APIVersion(key.Kind), Kind: string(key.Kind), Name: key.Name, Namespace: key.Namespace,
		Generation: status.Generation, Status: fields,
	})
}

// DecodeStatus reads a status file.
func DecodeStatus(data []byte) (key gwapi.Key, status report.Report, err error) {
	err = contain(func() (err error) {
		key, status, err = decodeStatus(data)
		return err
	})
	if err != nil {
		return gwapi.Key{}, report.Report{}, err
	}
	return key, status, nil
}

func decodeStatus(data []byte) (gwapi.Key, report.Report, error) {
	var file statusFile
	if err := yaml.UnmarshalStrict(data, &file); err != nil {
		return gwapi.Key{}, report.Report{}, err
	}
	key := gwapi.KeyOf(gwapi.Kind(file.Kind), file.Namespace, file.Name)
	if !HasStatus(key.Kind) || file.Name == "" || file.APIVersion != APIVersion(key.Kind) {
		return gwapi.Key{}, report.Report{}, fmt.Errorf("%s %s: no status is kept of that", file.APIVersion, key)
	}
	object := definitionOfKind(key.Kind).new()
	content := map[string]any{"status": file.Status}
	if err := runtime.DefaultUnstructuredConverter.FromUnstructured(content, object); err != nil {
		return gwapi.Key{}, report.Report{}, err
	}
	status, _ := report.Of(object)
	status.Generation = file.Generation
	return key, status, nil
}

// ReadStatus reads every status below a state directory; none if there is no
// such directory. A file that cannot be read counts as absent and is a Problem:
// what a status does not say is not done.
func ReadStatus(state string) (Statuses, []Problem) {
	statuses := Statuses{}
	dir := StatusDir(state)
	entries, err := os.ReadDir(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return statuses, nil
	}
	var problems []Problem
	if err != nil {
		problems = append(problems, Problem{File: dir, Class: Unparsable, Message: Explain(dir, err).Error()})
	}
	for _, entry := range entries {
		path := filepath.Join(dir, entry.Name())
		if strings.HasPrefix(entry.Name(), ".") || filepath.Ext(path) != ".yaml" {
			continue
		}
		key, status, err := ReadStatusFile(path)
		if err != nil {
			problems = append(problems, Problem{File: path, Class: Unparsable, Message: err.Error()})
			continue
		}
		statuses[key] = status
	}
	return statuses, problems
}

// ReadStatusFile reads one file, whose name must be that of the object in it.
func ReadStatusFile(path string) (gwapi.Key, report.Report, error) {
	file, _, err := Read(path)
	if err != nil {
		return gwapi.Key{}, report.Report{}, err
	}
	key, status, err := DecodeStatus(file.Data)
	if err != nil {
		return gwapi.Key{}, report.Report{}, err
	}
	if name := StatusFile(key); name != filepath.Base(path) {
		return gwapi.Key{}, report.Report{}, fmt.Errorf("holds the status of %s, which belongs in %s", key, name)
	}
	return key, status, nil
}

// WithStatuses is a copy whose objects carry these statuses.
func (s *Set) WithStatuses(statuses Statuses) *Set {
	with := *s
	with.statuses = statuses
	return &with
}

// uid is derived from the key: files have nothing else that stays.
func uid(key gwapi.Key) types.UID {
	sum := sha256.Sum256([]byte(string(key.Kind) + "/" + key.Namespace + "/" + key.Name))
	text := hex.EncodeToString(sum[:16])
	return types.UID(strings.Join([]string{text[:8], text[8:12], text[12:16], text[16:20], text[20:]}, "-"))
}
