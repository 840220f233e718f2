package envoy

import (
	"fmt"
	"strings"

	corev3 "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
	routev3 "github.com/envoyproxy/go-control-plane/envoy/config/route/v3"

	"github.com/backendtls/backendtls/internal/model"
)

// modifyRequest changes the headers of the requests a route forwards. Envoy
// removes first and adds then; the model's order is the other way round, so
// what is removed is not added at all.
func modifyRequest(route *routev3.Route, change model.HeaderModifier) error {
	removed := map[string]bool{}
	for _, name := range change.Remove {
		if err := changeable(name); err != nil {
			return err
		}
		if lower := strings.ToLower(name); !removed[lower] {
			removed[lower] = true
			route.RequestHeadersToRemove = append(route.RequestHeadersToRemove, name)
		}
	}
	for _, list := range []struct {
		headers []model.Header
		action  corev3.HeaderValueOption_HeaderAppendAction
	}{
		{change.Set, corev3.HeaderValueOption_OVERWRITE_IF_EXISTS_OR_ADD},
		{change.Add, corev3.HeaderValueOption_APPEND_IF_EXISTS_OR_ADD},
	} {
		for _, header := range list.headers {
			if err := changeable(header.Name); err != nil {
				return err
			}
			if !removed[strings.ToLower(header.Name)] {
				route.RequestHeadersToAdd = append(route.RequestHeadersToAdd, headerOption(header, list.action))
			}
		}
	}
	return nil
}

// headerOption writes a header. A percent sign begins a command in Envoy, by
// which a route could read what it has no business to: it is escaped.
func headerOption(
	header model.Header, action corev3.HeaderValueOption_HeaderAppendAction,
) *corev3.HeaderValueOption {
	return &corev3.HeaderValueOption{
		Header: &corev3.HeaderValue{
			Key:   header.Name,
			Value: strings.ReplaceAll(header.Value, "%", "%%"),
		},
		AppendAction:   action,
		KeepEmptyValue: true,
	}
}

// changeable refuses the headers that Envoy would refuse, together with every
// other route of the port, those that it would obey, and those that speak of the
// client's certificate.
func changeable(name string) error {
	if !token(name) {
		return fmt.Errorf("%q is no name of a header", name)
	}
	if model.ClientHeader(name) {
		return fmt.Errorf("the header %s is for what is known of the client's certificate", name)
	}
	if model.EnvoyHeader(name) {
		return fmt.Errorf("the header %s tells Envoy what to do with a request", name)
	}
	if strings.EqualFold(name, "host") {
		return fmt.Errorf("the header %s cannot be changed by a header modifier", name)
	}
	return nil
}
