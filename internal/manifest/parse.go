package manifest

import (
	"bytes"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/runtime/schema"
	"sigs.k8s.io/kustomize/kyaml/yaml"
)

// Parsed is what one file holds.
type Parsed struct {
	Path string
	// Objects are in the order of the file, good ones and Invalid ones.
	Objects []Object
	// Ignored counts the objects of other kinds, by KIND.GROUP.
	Ignored map[string]int
	// Problems are those of the objects, or the one that makes the whole file
	// unusable: then there are no objects.
	Problems []Problem
	// Blank says that there is nothing but white space: most likely a file that
	// is just being written.
	Blank bool

	// read are the documents by the digest of their bytes.
	read map[[sha256.Size]byte]readDocument
}

// readDocument is what one document gave.
type readDocument struct {
	line    int
	objects []Object
	ignored map[string]int
}

// Unusable says whether the file as a whole could not be understood.
func (p Parsed) Unusable() bool {
	return len(p.Problems) > 0 && p.Problems[0].Class == Unparsable
}

// ParseFile reads one file. Nothing in the result is shared with the data.
func ParseFile(file File) Parsed { return Parsed{}.Next(file) }

// Next reads the same file after it changed. A document whose bytes are the
// same is not read again, so that a change costs what the change is worth, in
// a file of thousands of documents too.
func (p Parsed) Next(file File) Parsed {
	next := Parsed{
		Path: file.Path, Ignored: map[string]int{}, Blank: len(bytes.TrimSpace(file.Data)) == 0,
		read: map[[sha256.Size]byte]readDocument{},
	}
	reader := reader{file: file, known: p.read, parsed: &next}
	if err := contain(reader.read); err != nil {
		return Unreadable{Path: file.Path, Err: err}.parsed()
	}
	for _, object := range next.Objects {
		next.Problems = append(next.Problems, object.Problems...)
	}
	return next
}

// parsed makes the file's error its only content.
func (u Unreadable) parsed() Parsed {
	problem := Problem{File: u.Path, Class: Unparsable, Message: u.Err.Error()}
	if located, ok := errors.AsType[*fault](u.Err); ok {
		problem.Line = located.line
	}
	return Parsed{Path: u.Path, Problems: []Problem{problem}}
}

type reader struct {
	file   File
	known  map[[sha256.Size]byte]readDocument
	parsed *Parsed
	// current is the document that is being read.
	current readDocument
	values  converter
	// faults counts those of all objects.
	faults int
}

func (r *reader) read() error {
	if len(r.file.Data) > MaxFileSize {
		return fmt.Errorf("is larger than %d MiB; split it", MaxFileSize>>20)
	}
	if err := weigh(r.file.Data); err != nil {
		return err
	}
	documents := Documents(r.file.Data)
	if len(documents) > MaxDocuments {
		return faultf(documents[MaxDocuments].Line, "holds more than %d documents; split it", MaxDocuments)
	}
	for i, document := range documents {
		digest := sha256.Sum256(r.file.Data[document.Start:document.End])
		if known, found := r.known[digest]; found {
			r.current = known.moved(r.file.Path, i, document.Line)
		} else if err := r.contained(document, i); err != nil {
			return err
		}
		r.parsed.read[digest] = r.current
		r.parsed.Objects = append(r.parsed.Objects, r.current.objects...)
		for kind, n := range r.current.ignored {
			r.parsed.Ignored[kind] += n
		}
	}
	return nil
}

// contained reads a document; a panic is an error at its first line.
func (r *reader) contained(document Document, index int) error {
	var problem error
	if err := contain(func() error {
		problem = r.document(document, index)
		return nil
	}); err != nil {
		return faultf(document.Line, "%s", err.Error())
	}
	return problem
}

func (r *reader) document(document Document, index int) error {
	r.current = readDocument{line: document.Line, ignored: map[string]int{}}
	node, err := document.node(r.file.Data)
	if err != nil || node == nil {
		return err
	}
	return r.objects(node, index, -1, schema.GroupVersionKind{})
}

// moved is the same document in another place.
func (d readDocument) moved(file string, index, line int) readDocument {
	moved := readDocument{line: line, ignored: d.ignored, objects: slices.Clone(d.objects)}
	for i := range moved.objects {
		object := &moved.objects[i]
		object.File, object.Document = file, index
		object.Line += line - d.line
		object.Problems = slices.Clone(object.Problems)
		for j := range object.Problems {
			object.Problems[j].File = file
			object.Problems[j].Line += line - d.line
		}
	}
	return moved
}

// objects reads a document that is an object or a List of objects. Items of a
// typed List may leave out what the List says of them.
func (r *reader) objects(node *yaml.Node, document, item int, implied schema.GroupVersionKind) error {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	gvk, err := identity(node, implied)
	if err != nil {
		return err
	}
	if gvk.Kind == "" {
		r.current.ignored["(no kind)"]++
		return nil
	}
	if items := child(node, "items"); item < 0 && items != nil && strings.HasSuffix(gvk.Kind, "List") {
		return r.list(items, document, gvk)
	}
	definition := definitionOf(gvk.Group, gvk.Kind)
	if definition == nil {
		if meant := meantFor(gvk.Group, gvk.Kind); meant != nil {
			return r.misnamed(node, document, item, meant, gvk)
		}
	}
	if definition == nil && isGroup(gvk.Group) && child(node, "metadata") == nil {
		// Every object of these groups has metadata: this one is half written,
		// perhaps in the middle of its kind.
		return faultf(node.Line, "the %s %s has no metadata", gvk.GroupVersion(), gvk.Kind)
	}
	if definition == nil {
		r.current.ignored[gvk.GroupKind().String()]++
		return nil
	}
	return r.object(node, document, item, definition, gvk.Version)
}

func (r *reader) list(items *yaml.Node, document int, gvk schema.GroupVersionKind) error {
	if items.Kind == yaml.AliasNode {
		items = items.Alias
	}
	if items.Kind != yaml.SequenceNode {
		if items.ShortTag() == "!!null" {
			return nil
		}
		return faultf(items.Line, "items of a %s must be a list", gvk.Kind)
	}
	if len(items.Content) > MaxDocuments {
		return faultf(items.Line, "holds more than %d items; split it", MaxDocuments)
	}
	implied := gvk
	if implied.Kind = strings.TrimSuffix(gvk.Kind, "List"); implied.Kind == "" {
		implied = schema.GroupVersionKind{}
	}
	for i, node := range items.Content {
		if err := r.objects(node, document, i, implied); err != nil {
			return err
		}
	}
	return nil
}

// object reads an object of a kind that is ours to read.
func (r *reader) object(node *yaml.Node, index, item int, definition *definition, version string) error {
	content, err := r.values.object(node, definition.maxValues())
	if err != nil {
		return err
	}
	d, err := r.identified(node, content, index, item, definition, version)
	if err != nil {
		return err
	}
	if !definition.reads(version) {
		d.refuse("apiVersion", fmt.Sprintf("apiVersion %s is not served; write %s",
			definition.apiVersion(version), APIVersion(definition.kind)))
	} else if err := d.finish(); err != nil {
		return err
	}
	if r.faults += d.faults; r.faults > maxFaults {
		return faultf(node.Line, "has more than %d faults in its objects", maxFaults)
	}
	r.current.objects = append(r.current.objects, d.object)
	return nil
}

// identified is the document of an object with its key.
func (r *reader) identified(
	node *yaml.Node, content map[string]any, index, item int, definition *definition, version string,
) (*document, error) {
	content["apiVersion"], content["kind"] = definition.apiVersion(version), string(definition.kind)
	d := &document{
		definition: definition, version: version, node: node, content: content,
		object: Object{File: r.file.Path, Document: index, Item: item, Line: node.Line},
	}
	return d, d.identify()
}

// misnamed reads an object whose kind or group is a slip: an invalid one of the
// kind that is meant, so that what it decides about trust is not overlooked.
func (r *reader) misnamed(node *yaml.Node, index, item int, meant *definition, gvk schema.GroupVersionKind) error {
	content, err := r.values.object(node, meant.maxValues())
	if err != nil {
		return err
	}
	d, err := r.identified(node, content, index, item, meant, meant.versions[0])
	if err != nil {
		return err
	}
	d.refuse("kind", fmt.Sprintf("%s %s is no kind that is served; write %s %s",
		gvk.GroupVersion(), gvk.Kind, APIVersion(meant.kind), meant.kind))
	r.current.objects = append(r.current.objects, d.object)
	return nil
}

// identity is what apiVersion and kind say. The zero value stands for a
// document that is no Kubernetes object at all, such as the values of a chart;
// half an identity is a mistake.
func identity(node *yaml.Node, implied schema.GroupVersionKind) (gvk schema.GroupVersionKind, err error) {
	if node.Kind != yaml.MappingNode {
		return gvk, nil
	}
	apiVersion, kind := child(node, "apiVersion"), child(node, "kind")
	switch {
	case apiVersion == nil && kind == nil && implied.Kind != "":
		return implied, nil
	case apiVersion == nil && kind == nil && child(node, "metadata") == nil:
		return gvk, nil
	case kind == nil || kind.Kind != yaml.ScalarNode || kind.Value == "":
		return gvk, faultf(locate(node, "kind"), "the object has no kind")
	case apiVersion == nil || apiVersion.Kind != yaml.ScalarNode || apiVersion.Value == "":
		return gvk, faultf(locate(node, "apiVersion"), "the %s has no apiVersion", kind.Value)
	}
	version, err := schema.ParseGroupVersion(apiVersion.Value)
	if err != nil {
		return gvk, faultf(apiVersion.Line, "apiVersion %q is no GROUP/VERSION", apiVersion.Value)
	}
	return version.WithKind(kind.Value), nil
}

// child is the value of a key of a mapping, its own before a merged one; nil
// if it has none.
func child(node *yaml.Node, key string) *yaml.Node {
	return (&finder{key: key, seen: map[*yaml.Node]bool{}}).in(node)
}

// finder looks for a key. Merge keys may lead to one mapping on very many ways
// and in circles, so that it looks into each mapping once.
type finder struct {
	key  string
	seen map[*yaml.Node]bool
}

func (f *finder) in(node *yaml.Node) *yaml.Node {
	if node.Kind == yaml.AliasNode {
		node = node.Alias
	}
	if node.Kind != yaml.MappingNode || f.seen[node] {
		return nil
	}
	f.seen[node] = true
	var merged *yaml.Node
	for i := 0; i+1 < len(node.Content); i += 2 {
		name, value := node.Content[i], node.Content[i+1]
		switch {
		case name.Value == f.key && value.Kind == yaml.AliasNode:
			return value.Alias
		case name.Value == f.key:
			return value
		case merged == nil && name.ShortTag() == yaml.MergeTag:
			merged = f.merged(value)
		}
	}
	return merged
}

// merged looks in what a merge key names: one mapping, or a list of them.
func (f *finder) merged(node *yaml.Node) *yaml.Node {
	if node.Kind != yaml.SequenceNode {
		return f.in(node)
	}
	for _, from := range node.Content {
		if found := f.in(from); found != nil {
			return found
		}
	}
	return nil
}

// refuse makes the object invalid for one reason.
func (d *document) refuse(path, message string) {
	d.object.Digest, d.object.SpecDigest = digests(d.content)
	d.object.Value = salvage(d.definition, d.object.Key, d.content)
	d.object.Problems = []Problem{{
		File: d.object.File, Line: locate(d.node, path), Class: Invalid, Object: d.object.Key, Message: oneLine(message),
	}}
}

// Parse reads files. Objects of a file that is Unparsable are absent; what
// becomes of an object that is invalid or given twice is said at Combine. The
// problems are sorted by place.
func Parse(files []File) (*Set, []Problem) {
	parsed := make([]Parsed, 0, len(files))
	for _, file := range files {
		parsed = append(parsed, ParseFile(file))
	}
	return Combine(parsed, nil)
}
