package edit_test

import (
	"context"
	"errors"
	"net/http"
	"testing"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/plugin/apiservertest"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/edit"
)

// deaf loses every answer to a write, after the server has made it.
type deaf struct{ below http.RoundTripper }

var errLost = errors.New("connection reset by peer")

func (d deaf) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := d.below.RoundTrip(request)
	if request.Method == http.MethodGet || err != nil {
		return response, err
	}
	_ = response.Body.Close()
	return nil, errLost
}

func TestAWriteWhoseAnswerIsLostIsNotCalledNotWritten(t *testing.T) {
	api := apiservertest.New(t, object(t, livePolicy))
	server := deafTo(t, api.URL)
	change := patch(t, server, pins("spki-sha256:new"))
	_, err := server.Write(t.Context(), change)
	if !errors.Is(err, edit.ErrWritten) || !errors.Is(err, errLost) {
		t.Errorf("%v", err)
	}
	live, getErr := server.Get(t.Context(), edit.Policies, apiName)
	if getErr != nil || held(live)[edit.OptionPins] != "spki-sha256:new" {
		t.Errorf("%v %v", held(live), getErr)
	}
	if _, err := server.DryRun(t.Context(), patch(t, server, pins("spki-sha256:other"))); errors.Is(err, edit.ErrWritten) {
		t.Errorf("a dry run writes nothing: %v", err)
	}
}

func TestARefusedWriteIsCertain(t *testing.T) {
	api, server := desk(t)
	change := patch(t, server, pins("spki-sha256:new"))
	api.Admit = func(*unstructured.Unstructured) error { return apierrors.NewBadRequest("no") }
	if _, err := server.Write(t.Context(), change); err == nil || errors.Is(err, edit.ErrWritten) {
		t.Errorf("refused by admission: %v", err)
	}
	ended, end := context.WithCancel(t.Context())
	end()
	if _, err := server.Write(ended, change); !errors.Is(err, edit.ErrWritten) {
		t.Errorf("somebody ended the wait: %v", err)
	}
}

func deafTo(t *testing.T, url string) edit.Server {
	t.Helper()
	scheme, err := collect.Scheme()
	if err != nil {
		t.Fatal(err)
	}
	config := &rest.Config{Host: url, QPS: -1, WrapTransport: func(below http.RoundTripper) http.RoundTripper { return deaf{below} }}
	connected, err := client.New(config, client.Options{Scheme: scheme, Mapper: collect.Mapper()})
	if err != nil {
		t.Fatal(err)
	}
	return edit.Server{Client: connected}
}
