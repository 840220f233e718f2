package manifest

import "github.com/backendtls/backendtls/internal/gwapi"

// ToJSON is a document's value in JSON.
func ToJSON(data []byte) ([]byte, error) {
	node, err := Documents(data)[0].node(data)
	if err != nil {
		return nil, err
	}
	values := converter{limit: maxObjectValues}
	value, err := values.value(node, 0, false)
	if err != nil {
		return nil, err
	}
	return canonical(value), nil
}

// FailOn makes the schemas of a kind panic with a value, until restored.
func FailOn(kind gwapi.Kind, value any) (restore func()) {
	d := definitionOfKind(kind)
	key := schemaKey{d.group, d.plural, d.versions[0]}
	load := schemas[key]
	schemas[key] = func() (*served, error) { panic(value) }
	return func() { schemas[key] = load }
}
