package manifest

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"

	"k8s.io/apimachinery/pkg/api/validation"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/util/validation/field"
	"sigs.k8s.io/kustomize/kyaml/yaml"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// Object is one object as it stands in one place.
type Object struct {
	Key  gwapi.Key
	File string
	// Document counts the documents of the file from 0, as Documents lists
	// them; Item counts within a List, and is -1 outside of one.
	Document, Item int
	// Line is the first line of the object.
	Line int
	// Value is a pointer to the kind's type, with defaults; read only. Of an
	// invalid object it is what could be made out, for a kind that Decides,
	// and nil for others.
	Value metav1.Object
	// Problems say why the object is invalid; none for a good one.
	Problems []Problem
	// Digest covers everything that was read; SpecDigest leaves out metadata:
	// it changes when the generation has to.
	Digest, SpecDigest [sha256.Size]byte
}

// Place is FILE:LINE.
func (o Object) Place() string { return place(o.File, o.Line) }

// Good says whether the object is valid.
func (o Object) Good() bool { return len(o.Problems) == 0 }

// Fault is the first problem with its place and how many follow; "" if Good.
func (o Object) Fault() string {
	if o.Good() {
		return ""
	}
	first := o.Problems[0].Place() + ": " + o.Problems[0].Message
	if more := len(o.Problems) - 1; more > 0 {
		return first + " (and " + plural(more, "more problem") + ")"
	}
	return first
}

// document is an object on its way in.
type document struct {
	definition *definition
	version    string
	node       *yaml.Node
	content    map[string]any
	object     Object
	// faults is how many there are, Problems names the first ones.
	faults int
}

// ignoredMetadata are the fields that a server fills in. They stand in
// manifests that were exported from a cluster, and an API server ignores or
// replaces them in a new object.
var ignoredMetadata = [...]string{
	"managedFields", "resourceVersion", "selfLink", "uid", "generation",
	"deletionTimestamp", "deletionGracePeriodSeconds",
}

// identify reads the key. Without a proper one nobody can say which object
// this is, so that the error concerns the whole file.
func (d *document) identify() error {
	metadata, ok := d.content["metadata"].(map[string]any)
	if !ok {
		return faultf(d.node.Line, "%s has no metadata", d.definition.kind)
	}
	name, ok := metadata["name"].(string)
	if !ok || name == "" {
		return faultf(locate(d.node, "metadata.name"), "%s needs metadata.name, a string", d.definition.kind)
	}
	if d.definition.cluster {
		delete(metadata, "namespace")
	}
	namespace, ok := metadata["namespace"].(string)
	switch {
	case d.definition.cluster:
	case !ok && metadata["namespace"] != nil:
		return faultf(locate(d.node, "metadata.namespace"), "metadata.namespace of %s %q must be a string",
			d.definition.kind, name)
	case namespace == "":
		namespace = metav1.NamespaceDefault
		metadata["namespace"] = namespace
	}
	errs := d.definition.name(name, false)
	if len(errs) == 0 && !d.definition.cluster {
		errs = validation.ValidateNamespaceName(namespace, false)
	}
	if len(errs) > 0 {
		return faultf(locate(d.node, "metadata.name"), "%s %q in namespace %q: %s",
			d.definition.kind, name, namespace, strings.Join(errs, "; "))
	}
	for _, ignored := range ignoredMetadata {
		delete(metadata, ignored)
	}
	delete(d.content, "status")
	d.object.Key = gwapi.KeyOf(d.definition.kind, namespace, name)
	return nil
}

// finish checks and decodes the object. An error means that this program is
// broken: an embedded CRD cannot be used.
func (d *document) finish() error {
	schema, err := d.definition.schema(d.version)
	if err != nil {
		return err
	}
	// Taken before the schema removes what it does not know.
	salvaged := salvage(d.definition, d.object.Key, d.content)
	var errs field.ErrorList
	switch {
	case schema != nil:
		errs = schema.accept(d.content)
	case d.definition.prepare != nil:
		errs = d.definition.prepare(d.content)
	}
	if d.version != d.definition.versions[0] {
		d.content["apiVersion"] = d.definition.apiVersion(d.definition.versions[0])
	}
	d.object.Digest, d.object.SpecDigest = digests(d.content)
	value, decodeErrs := d.decode()
	if slices.ContainsFunc(errs, isMistyped) {
		decodeErrs = slices.DeleteFunc(decodeErrs, isMistyped) // Said already, with a better path.
	}
	errs = append(errs, decodeErrs...)
	if len(errs) == 0 {
		errs = append(errs, validation.ValidateObjectMetaAccessor(value, !d.definition.cluster, d.definition.name,
			field.NewPath("metadata"))...)
		if d.definition.check != nil {
			errs = append(errs, d.definition.check(value)...)
		}
	}
	d.object.Value, d.faults = value, len(errs)
	if len(errs) > 0 {
		d.object.Value = salvaged
		d.report(errs)
	}
	return nil
}

// decode makes the typed object, and names fields that the type does not have.
func (d *document) decode() (metav1.Object, field.ErrorList) {
	value := d.definition.new()
	err := runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(d.content, value, true)
	if err == nil {
		value.SetUID(uid(d.object.Key))
		return value, nil
	}
	if errs := unknownFields(err); errs != nil {
		return nil, errs
	}
	// The converter stops at the first value of a wrong type without naming it.
	errs := unknownFields(runtime.DefaultUnstructuredConverter.FromUnstructuredWithValidation(
		map[string]any{"metadata": d.content["metadata"]}, &metav1.PartialObjectMetadata{}, true))
	if mismatch, ok := errors.AsType[*json.UnmarshalTypeError](json.Unmarshal(canonical(d.content), value)); ok {
		return nil, append(errs, field.TypeInvalid(field.NewPath(fieldPath(mismatch.Field)), mismatch.Value,
			fmt.Sprintf("must be of type %s: %q", jsonType(mismatch.Type), mismatch.Value)))
	}
	return nil, append(errs, field.Invalid(nil, field.OmitValueType{}, err.Error()))
}

// unknownFields are the fields that a strict decoding error names.
func unknownFields(err error) field.ErrorList {
	strict, ok := errors.AsType[interface {
		error
		Errors() []error
	}](err)
	if !ok {
		return nil
	}
	var errs field.ErrorList
	for _, one := range strict.Errors() {
		if match := unknownPath.FindStringSubmatch(one.Error()); match != nil {
			errs = append(errs, unknownField(match[1]))
		}
	}
	return errs
}

// report takes the first problems. There may be one with every value of a large
// file, so that nothing is done for those beyond.
func (d *document) report(errs field.ErrorList) {
	mistyped := map[string]bool{}
	for _, err := range errs {
		if isMistyped(err) {
			mistyped[err.Field] = true
		}
	}
	seen := map[string]bool{}
	for _, err := range errs {
		if !isMistyped(err) && mistyped[err.Field] {
			continue // What else is wrong with it follows from the type.
		}
		message := sentence(err)
		if seen[message] {
			continue
		}
		if len(d.object.Problems) == maxProblems {
			break
		}
		seen[message] = true
		d.object.Problems = append(d.object.Problems, Problem{
			File: d.object.File, Line: locate(d.node, err.Field), Class: Invalid, Object: d.object.Key,
			Message: oneLine(message),
		})
	}
	sortProblems(d.object.Problems)
}

func isMistyped(err *field.Error) bool { return err.Type == field.ErrorTypeTypeInvalid }

func digests(content map[string]any) (all, spec [sha256.Size]byte) {
	all = sha256.Sum256(canonical(content))
	rest := maps.Clone(content)
	delete(rest, "metadata")
	return all, sha256.Sum256(canonical(rest))
}
