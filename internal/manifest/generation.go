package manifest

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Generations count the changes of each object's specification, which files do
// not. Objects without a CRD have no generation, as most have none in a
// cluster.
type Generations map[gwapi.Key]Generation

// Generation is one object's count.
type Generation struct {
	// Number starts at 1.
	Number int64 `json:"generation"`
	// Digest is that of the specification which has the Number, in hex.
	Digest string `json:"digest"`
}

// generationsFile lies in the state directory.
const generationsFile = "generations.json"

// GenerationsPath is where Generations are kept below a state directory.
func GenerationsPath(state string) string { return filepath.Join(state, generationsFile) }

// ReadGenerations reads what an operator counted; none if there is no file.
func ReadGenerations(state string) (Generations, error) {
	path := GenerationsPath(state)
	data, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return Generations{}, nil
	}
	if err != nil {
		return nil, Explain(path, err)
	}
	generations, err := DecodeGenerations(data)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return generations, nil
}

// DecodeGenerations reads what Encode wrote.
func DecodeGenerations(data []byte) (Generations, error) {
	var byName map[string]Generation
	if err := json.Unmarshal(data, &byName); err != nil {
		return nil, err
	}
	generations := make(Generations, len(byName))
	for name, generation := range byName {
		parts := strings.SplitN(name, "/", 3)
		if len(parts) != 3 || generation.Number < 1 {
			return nil, fmt.Errorf("%q: must be KIND/NAMESPACE/NAME with a generation of at least 1", name)
		}
		generations[gwapi.KeyOf(gwapi.Kind(parts[0]), parts[1], parts[2])] = generation
	}
	return generations, nil
}

// Encode is the form that is kept, the same bytes for the same content.
func (g Generations) Encode() ([]byte, error) {
	byName := make(map[string]Generation, len(g))
	for key, generation := range g {
		byName[string(key.Kind)+"/"+key.Namespace+"/"+key.Name] = generation
	}
	return json.MarshalIndent(byName, "", " ")
}

// Next counts on: an object of the Set whose specification is another than the
// one that was counted gets the next number, a new one 1, or the number after
// the one that its status was written for. Objects that are gone are left out.
func (g Generations) Next(set *Set) Generations {
	next := make(Generations, len(g))
	for key, object := range set.objects {
		if definitionOfKind(key.Kind).plural == "" {
			continue
		}
		digest := hex.EncodeToString(object.SpecDigest[:])
		counted, found := g[key]
		switch {
		case !found:
			counted = Generation{Number: max(set.statuses[key].Generation, 0) + 1, Digest: digest}
		case counted.Digest != digest:
			counted = Generation{Number: counted.Number + 1, Digest: digest}
		}
		next[key] = counted
	}
	return next
}

// WithGenerations is a copy whose objects carry these generations, counted on
// where an object changed after it was counted.
func (s *Set) WithGenerations(generations Generations) *Set {
	counted := *s
	next := generations.Next(s)
	counted.generations = make(map[gwapi.Key]int64, len(next))
	for key, generation := range next {
		counted.generations[key] = generation.Number
	}
	return &counted
}
