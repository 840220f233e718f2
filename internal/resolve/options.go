package resolve

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
	"github.com/backendtls/backendtls/internal/model"
	"github.com/backendtls/backendtls/internal/pin"
)

// The option keys of BackendTLSPolicy under gwapi.Prefix that are served.
const (
	optionMode      = "mode"
	optionSince     = "mode-since"
	optionUntil     = "mode-until"
	optionReason    = "mode-reason"
	optionPins      = "pins"
	optionPinsOnly  = "pins-only"
	optionTrusted   = "trusted-certificates"
	optionClient    = "client-certificate"
	optionCRL       = "crl"
	optionCRLScope  = "crl-scope"
	maxReasonLength = 256
)

var servedOptions = []string{
	optionMode, optionSince, optionUntil, optionReason, optionPins, optionPinsOnly, optionTrusted,
	optionClient, optionCRL, optionCRLScope, optionMinTLS, optionMaxTLS, optionSuites, optionCurves, optionAlgorithms,
	optionALPN,
}

// policyOptions is spec.options of a BackendTLSPolicy, understood.
type policyOptions struct {
	// mode is Standard where none is asked for.
	mode model.Mode
	// since and until are zero where absent.
	since, until time.Time
	reason       string
	pins         []pin.Pin
	pinsOnly     bool
	trusted      []certificateRef
	// client is the name of a Secret, "" for none.
	client string
	crls   []certificateRef
	// crlScope is "" where none is given.
	crlScope crlScope
	offer    tlsOffer
	// idle are keys of ours that have no effect because no insecure mode is
	// asked for, sorted. They are no fault: writing `mode: Standard` is how a
	// mode is left, and that must never cut traffic.
	idle []string
	// ignored are keys of other implementations, sorted.
	ignored []string
	// faults are sentences, each naming key, fault and what is allowed.
	faults []string
}

// readOptions understands spec.options. Whatever is not understood is a fault,
// but for keys under domains that are clearly somebody else's.
func readOptions(given map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue) policyOptions {
	options := policyOptions{mode: model.Standard}
	for _, key := range slices.Sorted(maps.Keys(given)) {
		name, foreign, err := optionName(string(key))
		switch {
		case foreign:
			options.ignored = append(options.ignored, string(key))
			continue
		case err == nil:
			err = options.read(name, string(given[key]))
		}
		if err != nil {
			options.faults = append(options.faults, fmt.Sprintf("spec.options[%q]: %v", string(key), err))
		}
	}
	if !options.since.IsZero() && !options.until.IsZero() && !options.until.After(options.since) {
		options.faults = append(options.faults, fmt.Sprintf("spec.options[%q]: %s is not after %s %s",
			gwapi.Prefix+optionUntil, stamp(options.until), optionSince, stamp(options.since)))
	}
	if fault := options.offer.contradiction(); fault != "" {
		options.faults = append(options.faults, fault)
	}
	if options.crlScope != "" && len(options.crls) == 0 {
		options.faults = append(options.faults, fmt.Sprintf("spec.options[%q]: has no meaning without %s%s",
			gwapi.Prefix+optionCRLScope, gwapi.Prefix, optionCRL))
	}
	options.noteIdle(given)
	return options
}

// read sets the option of that name.
func (o *policyOptions) read(name, value string) (err error) {
	switch name {
	case optionMode:
		o.mode, err = readMode(value)
	case optionSince:
		o.since, err = readTime(value)
	case optionUntil:
		o.until, err = readTime(value)
	case optionReason:
		o.reason, err = readReason(value)
	case optionPins:
		o.pins, err = pin.ParseList(value)
	case optionPinsOnly:
		o.pinsOnly = true
		if value != "true" {
			err = fmt.Errorf("%q is not allowed, only \"true\" is; to trust the CA again, remove the key", value)
		}
	case optionTrusted:
		o.trusted, err = readCertificateRefs(value, leafKey)
	case optionClient:
		o.client, err = readSecretName(value)
	case optionCRL:
		o.crls, err = readCertificateRefs(value, crlKey)
	case optionCRLScope:
		o.crlScope, err = readCRLScope(value)
	default:
		var known bool
		if known, err = o.offer.read(name, value); !known {
			err = fmt.Errorf("unknown key; the keys under %s are %s", gwapi.Prefix, strings.Join(servedOptions, ", "))
		}
	}
	return err
}

func (o *policyOptions) noteIdle(given map[gatewayv1.AnnotationKey]gatewayv1.AnnotationValue) {
	if o.mode.Insecure() {
		return
	}
	for _, name := range []string{optionReason, optionSince, optionUntil} {
		key := gwapi.Prefix + name
		if _, found := given[gatewayv1.AnnotationKey(key)]; found {
			o.idle = append(o.idle, key)
		}
	}
}

// optionName tells our keys from those of others. It returns the name of a key
// under our prefix, says that a key is foreign, or why it is neither.
func optionName(key string) (name string, foreign bool, err error) {
	if name, ours := strings.CutPrefix(key, gwapi.Prefix); ours {
		return name, false, nil
	}
	domain, rest, prefixed := strings.Cut(key, "/")
	if !prefixed || strings.TrimSpace(domain) == "" {
		return "", false, fmt.Errorf(
			"keys without a domain are reserved by the Gateway API, which defines none; keys of this implementation are %s",
			prefixedOptions())
	}
	if resemblesOurs(domain) {
		return "", false, fmt.Errorf("%q is not the domain %q; write %s%s, the keys are %s",
			domain, strings.TrimSuffix(gwapi.Prefix, "/"), gwapi.Prefix, strings.TrimSpace(rest), prefixedOptions())
	}
	return "", true, nil
}

func prefixedOptions() string {
	keys := make([]string, len(servedOptions))
	for i, name := range servedOptions {
		keys[i] = gwapi.Prefix + name
	}
	return strings.Join(keys, ", ")
}

// resemblesOurs says whether a domain misses ours by case, white space,
// hyphens or underscores, stray dots, or the top-level domain, or lies below
// ours. Such a key was meant for us; ignoring it would drop what it asks for.
func resemblesOurs(domain string) bool {
	plain := strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) || r == '-' || r == '_' || !unicode.IsPrint(r) {
			return -1
		}
		return unicode.ToLower(r)
	}, domain)
	labels := slices.DeleteFunc(strings.Split(plain, "."), func(label string) bool { return label == "" })
	switch ours := strings.TrimSuffix(gwapi.Prefix, ".dev/"); len(labels) {
	case 0:
		return true
	case 1, 2:
		return labels[0] == ours || strings.Join(labels, "") == ours+"dev"
	default:
		return strings.HasSuffix(strings.Join(labels, "."), "."+ours+".dev")
	}
}

func readMode(value string) (model.Mode, error) {
	if mode := model.Mode(value); slices.Contains(model.Modes, mode) {
		return mode, nil
	}
	return model.Standard, fmt.Errorf("%q is not a mode; the modes are %s", value, joinModes(model.Modes))
}

func joinModes(modes []model.Mode) string {
	names := make([]string, len(modes))
	for i, mode := range modes {
		names[i] = string(mode)
	}
	return strings.Join(names, ", ")
}

func readTime(value string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339, value)
	if err != nil {
		return time.Time{}, fmt.Errorf("%q is not an RFC 3339 time such as 2026-11-21T08:00:00Z", value)
	}
	if t = t.UTC(); t.IsZero() || t.Year() < 1 || t.Year() > 9999 {
		return time.Time{}, fmt.Errorf("%q is outside the years 1 to 9999", value)
	}
	return t, nil
}

func readReason(value string) (string, error) {
	if !utf8.ValidString(value) {
		return "", errors.New("is not UTF-8 text")
	}
	if length := utf8.RuneCountInString(value); length > maxReasonLength {
		return "", fmt.Errorf("has %d characters, at most %d are allowed", length, maxReasonLength)
	}
	return strings.TrimSpace(value), nil
}

// stamp is the form of times in messages.
func stamp(t time.Time) string { return t.UTC().Format(time.RFC3339) }
