package conformance

import (
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/types"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/gateway-api/conformance"
	confv1 "sigs.k8s.io/gateway-api/conformance/apis/v1"
	"sigs.k8s.io/gateway-api/conformance/tests"
	"sigs.k8s.io/gateway-api/conformance/utils/suite"
	"sigs.k8s.io/gateway-api/pkg/features"
)

// profiles are those of which this project claims the core.
var profiles = []suite.ConformanceProfileName{
	suite.GatewayHTTPConformanceProfileName,
	suite.GatewayGRPCConformanceProfileName,
	suite.GatewayTLSConformanceProfileName,
}

func TestConformance(t *testing.T) {
	official, own := chosen(t)
	names := slices.Concat(official, own)
	if len(names) == 0 {
		t.Fatal("there is nothing to run")
	}
	judge := newSuite(t, names)
	official, own = served(judge, official), served(judge, own)
	bar := &progress{all: len(official) + len(own), began: time.Now()}
	bar.measure(official)
	bar.measure(own)
	judge.Hook = bar.done
	say("making the namespaces, Gateways and backends of the suite")
	judge.Setup(t, names)
	say("running %d tests of the suite, then %d of this project", len(official), len(own))
	t.Run("official", func(t *testing.T) {
		if options.report != "" && options.only == "" {
			t.Cleanup(func() { writeReport(t, judge) })
		}
		if err := judge.Run(t, official); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("own", func(t *testing.T) {
		if err := judge.Run(t, own); err != nil {
			t.Fatal(err)
		}
	})
	bar.end(t)
	if !options.keep {
		say("removing the objects of the suite")
	}
}

// chosen are the tests of the suite and those of this project that -only names.
func chosen(t *testing.T) (official, own []suite.ConformanceTest) {
	t.Helper()
	official, own = slices.Clone(tests.ConformanceTests), slices.Clone(ownTests)
	if options.only == "" {
		return official, own
	}
	wanted := strings.Split(options.only, ",")
	for _, name := range wanted {
		if !slices.ContainsFunc(slices.Concat(official, own), func(test suite.ConformanceTest) bool {
			return test.ShortName == name
		}) {
			t.Fatalf("there is no test %q; the suite's are in its folder conformance/tests, this project's here", name)
		}
	}
	unwanted := func(test suite.ConformanceTest) bool { return !slices.Contains(wanted, test.ShortName) }
	return slices.DeleteFunc(official, unwanted), slices.DeleteFunc(own, unwanted)
}

// served are the tests whose features the class claims. The suite would skip
// the others, and count them nowhere.
func served(judge *suite.ConformanceTestSuite, all []suite.ConformanceTest) []suite.ConformanceTest {
	return slices.DeleteFunc(all, func(test suite.ConformanceTest) bool {
		return !judge.SupportedFeatures.HasAll(test.Features...)
	})
}

// newSuite is the suite as its own command line would make it, with the
// features that the GatewayClass claims. Tests that were asked for by name run
// whether their features are claimed or not.
func newSuite(t *testing.T, chosen []suite.ConformanceTest) *suite.ConformanceTestSuite {
	t.Helper()
	settings := conformance.DefaultOptions(t)
	settings.GatewayClassName = class
	settings.ConformanceProfiles = profiles
	settings.CleanupBaseResources = !options.keep
	// A namespace is gone when its Envoys have drained and its backends have ended.
	settings.TimeoutConfig.DeleteTimeout = 3 * time.Minute
	// What one test leaves would be in the way of the next.
	settings.CleanupTestResources = !options.keep || options.only == "" || strings.Contains(options.only, ",")
	settings.ManifestFS = []fs.FS{&conformance.Manifests, manifests}
	// The client's own limit would make it ask less often than the suite means to.
	settings.RestConfig.QPS = -1
	settings.Implementation = confv1.Implementation{
		Organization: "backendtls", Project: "backendtls", URL: "https://github.com/backendtls/backendtls",
		Version: options.release, Contact: []string{"https://github.com/backendtls/backendtls/issues"},
	}
	claimed := awaitFeatures(t, &settings)
	if options.only != "" {
		settings.SupportedFeatures = claimed
		for _, test := range chosen {
			settings.SupportedFeatures = append(settings.SupportedFeatures, test.Features...)
		}
	}
	judge, err := suite.NewConformanceTestSuite(settings)
	if err != nil {
		t.Fatal(err)
	}
	return judge
}

// awaitFeatures waits until the class says what it serves.
func awaitFeatures(t *testing.T, settings *suite.ConformanceOptions) (claimed []features.FeatureName) {
	t.Helper()
	const limit = time.Minute
	for began := time.Now(); ; {
		var found gatewayv1.GatewayClass
		err := settings.Client.Get(t.Context(), types.NamespacedName{Name: class}, &found)
		if err == nil && len(found.Status.SupportedFeatures) > 0 {
			for _, feature := range found.Status.SupportedFeatures {
				claimed = append(claimed, features.FeatureName(feature.Name))
			}
			return claimed
		}
		if time.Since(began) > limit {
			t.Fatalf("gatewayclass/%s lists no features within %s: %v", class, limit, fmt.Sprint(err, found.Status))
		}
		select {
		case <-t.Context().Done():
			t.Fatal(t.Context().Err())
		case <-time.After(settings.TimeoutConfig.DefaultPollInterval):
		}
	}
}
