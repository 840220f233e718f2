package manifest

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
