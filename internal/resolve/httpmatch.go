package resolve

import (
	"errors"
	"fmt"
	"regexp"
	"regexp/syntax"
	"slices"
	"strings"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
)

// matchReader understands one match of a rule. What it does not understand is
// a fault and is left out of the match, which gets wider by it: it belongs to a
// route that answers 500 then.
type matchReader struct {
	field  string
	faults []string
	// patterns is what the route's regular expressions may still take.
	patterns *patternBudget
}

// patternBudget bounds all regular expressions of one route together, in the
// bytes that checkPattern counts: hundreds of usual ones, or four of the largest.
// Each costs that much in every Envoy and time at every request.
type patternBudget struct{ used int }

const mostPatterns = 200_000

// take says whether there is room for one more, and refuses the route at the
// first that has none.
func (b *patternBudget) take(size int) error {
	if b.used += size; b.used <= mostPatterns {
		return nil
	}
	return errors.New("it and those before it are too complex together; write fewer or simpler ones, " +
		"or spread them over several HTTPRoutes")
}

func (r *matchReader) fault(format string, values ...any) {
	r.faults = append(r.faults, r.field+fmt.Sprintf(format, values...))
}

// read is the match; ok is false where its path is not understood, because a
// match of any path would take what others ask for.
func (r *matchReader) read(spec *gatewayv1.HTTPRouteMatch) (match httpMatch, ok bool) {
	ok = r.path(spec.Path, &match)
	match.match.Headers, match.match.Query = r.headers(spec.Headers), r.query(spec.QueryParams)
	match.precedence.Headers, match.precedence.Query = len(match.match.Headers), len(match.match.Query)
	if spec.Method != nil {
		match.precedence.Method = true
		if slices.Contains(methods, *spec.Method) {
			match.match.Method = string(*spec.Method)
		} else {
			r.fault("method: %q is not supported; %s are", *spec.Method, joinTexts(methods))
		}
	}
	return match, ok
}

// methods are those that a match may name. CONNECT is not among them: Envoy
// answers it before any route is looked at.
var methods = []gatewayv1.HTTPMethod{
	gatewayv1.HTTPMethodGet, gatewayv1.HTTPMethodHead, gatewayv1.HTTPMethodPost, gatewayv1.HTTPMethodPut,
	gatewayv1.HTTPMethodDelete, gatewayv1.HTTPMethodOptions, gatewayv1.HTTPMethodTrace, gatewayv1.HTTPMethodPatch,
}

// validPath is the rule of the CRD for paths that are compared literally.
var validPath = regexp.MustCompile(`^(?:[-A-Za-z0-9/._~!$&'()*+,;=:@]|[%][0-9a-fA-F]{2})+$`)

// pathParts are what the CRD forbids in such a path; Envoy normalises the
// path of a request first, so none of them could match.
var pathParts = []string{"//", "/./", "/../", "%2f", "%2F"}

func (r *matchReader) path(spec *gatewayv1.HTTPPathMatch, match *httpMatch) bool {
	kind, value := gatewayv1.PathMatchPathPrefix, "/"
	if spec != nil && spec.Type != nil {
		kind = *spec.Type
	}
	if spec != nil && spec.Value != nil {
		value = *spec.Value
	}
	switch kind {
	case gatewayv1.PathMatchExact, gatewayv1.PathMatchPathPrefix:
		if !literalPath(value) {
			r.fault("path.value: %q is not a normalised absolute path such as /api", value)
			return false
		}
		match.match.Path = model.ValueMatch{Kind: model.Exact, Value: value}
		match.precedence.Path = gwapi.PathExact
		if kind == gatewayv1.PathMatchPathPrefix {
			// A trailing slash is ignored (HTTPRoute, PathMatchPathPrefix).
			value = "/" + strings.Trim(value, "/")
			match.match.Path = model.ValueMatch{Kind: model.Prefix, Value: value}
			match.precedence.Path = gwapi.PathPrefix
		}
	case gatewayv1.PathMatchRegularExpression:
		if !r.pattern("path.value", value) {
			return false
		}
		match.match.Path = model.ValueMatch{Kind: model.Regex, Value: value}
		match.precedence.Path = gwapi.PathRegularExpression
	default:
		r.fault("path.type: %q is not one of Exact, PathPrefix, RegularExpression", kind)
		return false
	}
	match.precedence.Length = len(value)
	return true
}

func literalPath(value string) bool {
	if !strings.HasPrefix(value, "/") || !validPath.MatchString(value) ||
		strings.HasSuffix(value, "/..") || strings.HasSuffix(value, "/.") {
		return false
	}
	return !slices.ContainsFunc(pathParts, func(part string) bool { return strings.Contains(value, part) })
}

// pattern says whether a value is a regular expression that Envoy's RE2 takes.
func (r *matchReader) pattern(field, value string) bool {
	if r.patterns.used > mostPatterns {
		return false // The route is refused already.
	}
	size, err := checkPattern(value)
	if err == nil {
		err = r.patterns.take(size)
	}
	if err != nil {
		r.fault("%s: %q is not served as a regular expression: %v", field, value, err)
		return false
	}
	return true
}

// unicodeClass finds \p and \P: Go and RE2 know different classes.
var unicodeClass = regexp.MustCompile(`^(?:[^\\]|\\[^pP])*\\[pP]`)

// checkPattern is stricter than RE2, which refuses what is too large for its
// memory: Envoy refuses a whole route table because of one expression in it. The
// size is what RE2 needs at most, in bytes.
func checkPattern(pattern string) (size int, err error) {
	const (
		longest = 1024
		// perRange is the most steps that RE2 needs for one range of characters, in
		// bytes; largest is well below its memory.
		perRange = 52
		largest  = 50_000
	)
	switch {
	case pattern == "":
		return 0, errors.New("it is empty")
	case len(pattern) > longest:
		return 0, fmt.Errorf("it has %d bytes, at most %d are taken", len(pattern), longest)
	case unicodeClass.MatchString(pattern):
		return 0, errors.New(`\p and \P are not taken; write the characters as [...]`)
	}
	parsed, err := syntax.Parse(pattern, syntax.Perl)
	if err != nil {
		return 0, fmt.Errorf("it is not in RE2 syntax: %w", err)
	}
	program, err := syntax.Compile(parsed.Simplify())
	if err != nil {
		return 0, fmt.Errorf("it is not in RE2 syntax: %w", err)
	}
	for i := range program.Inst {
		size += perRange * max(1, len(program.Inst[i].Rune)/2)
	}
	if size > largest {
		return 0, errors.New("it is too complex; write fewer or smaller repetitions")
	}
	return size, nil
}

// headers are the header matches, of names in lower case: they are the same in
// any (HTTPHeaderMatch.name).
func (r *matchReader) headers(specs []gatewayv1.HTTPHeaderMatch) []model.ValueMatch {
	given := make([]model.ValueMatch, len(specs))
	for i := range specs {
		given[i] = model.ValueMatch{
			Kind: asked(specs[i].Type), Name: strings.ToLower(string(specs[i].Name)), Value: specs[i].Value,
		}
	}
	return r.values("headers", given)
}

// query are the query parameter matches.
func (r *matchReader) query(specs []gatewayv1.HTTPQueryParamMatch) []model.ValueMatch {
	given := make([]model.ValueMatch, len(specs))
	for i := range specs {
		given[i] = model.ValueMatch{Kind: asked(specs[i].Type), Name: string(specs[i].Name), Value: specs[i].Value}
	}
	return r.values("queryParams", given)
}

// asked is the word of the API for how to compare. Exact is the default of them
// all.
func asked[T ~string](kind *T) model.MatchKind {
	if kind == nil {
		return model.MatchKind(gatewayv1.HeaderMatchExact)
	}
	return model.MatchKind(*kind)
}

// values are the matches of a list whose Kinds are still the words of the API. Of
// two for the same name the first counts (HTTPHeaderMatch.name,
// HTTPQueryParamMatch.name, GRPCHeaderMatch.name).
func (r *matchReader) values(field string, given []model.ValueMatch) (understood []model.ValueMatch) {
	seen := map[string]bool{}
	for i, match := range given {
		if seen[match.Name] {
			continue
		}
		seen[match.Name] = true
		if value, ok := r.value(fmt.Sprintf("%s[%d]", field, i), match); ok {
			understood = append(understood, value)
		}
	}
	return understood
}

// value checks a match whose Kind is still the word of the API.
func (r *matchReader) value(field string, match model.ValueMatch) (model.ValueMatch, bool) {
	if !headerName(match.Name) {
		r.fault("%s.name: %q is not a name of letters, digits and !#$%%&'*+-.^_`|~", field, match.Name)
		return match, false
	}
	switch string(match.Kind) {
	case string(gatewayv1.HeaderMatchExact):
		match.Kind = model.Exact
		if !headerValue(match.Value) {
			r.fault("%s.value: %q holds control characters", field, match.Value)
			return match, false
		}
		return match, true
	case string(gatewayv1.HeaderMatchRegularExpression):
		match.Kind = model.Regex
		return match, r.pattern(field+".value", match.Value)
	default:
		r.fault("%s.type: %q is not one of Exact, RegularExpression", field, match.Kind)
		return match, false
	}
}

func joinTexts[T ~string](texts []T) string {
	joined := make([]string, len(texts))
	for i, text := range texts {
		joined[i] = string(text)
	}
	return strings.Join(joined, ", ")
}
