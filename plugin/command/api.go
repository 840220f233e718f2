package command

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericclioptions"
	"k8s.io/client-go/rest"
	"k8s.io/client-go/tools/clientcmd"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/session"
)

// How fast requests go out: a verb makes some dozens, and a cluster has other
// users.
const (
	requestsPerSecond = 50
	requestBurst      = 100
)

// userAgent is what the API server's audit log shows.
const userAgent = "kubectl-backendtls"

// API is the connection to the API server that cli-runtime's flags name. It is
// made when it is first used, and may be used concurrently.
type API struct {
	flags *genericclioptions.ConfigFlags
	given *pflag.FlagSet
	now   func() time.Time

	lock    sync.Mutex
	warn    func(format string, args ...any)
	config  *rest.Config
	client  client.Client
	watcher client.WithWatch
	// ahead is by how much the API server's clock is ahead of this one's, 0 before
	// it has answered.
	ahead time.Duration
}

// NewAPI reads the flags of cli-runtime, which are in the set, when it is first
// used. What the API server, or an admission policy, warns about goes to the
// options' stderr.
func NewAPI(options Options, given *pflag.FlagSet) *API {
	return &API{flags: options.Config, given: given, now: options.Now, warn: options.Warn}
}

// RESTConfig is how to speak to the API server.
func (a *API) RESTConfig() (*rest.Config, error) {
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.config != nil {
		return a.config, nil
	}
	config, err := a.flags.ToRESTConfig()
	switch {
	case err != nil && clientcmd.IsEmptyConfig(err) || err == nil && a.nowhere(config):
		return nil, errors.New("no cluster is configured: set KUBECONFIG or --kubeconfig, or read manifests with -f DIR")
	case err != nil:
		return nil, fmt.Errorf("the kubeconfig: %w", err)
	}
	config = rest.CopyConfig(config)
	config.QPS, config.Burst, config.UserAgent = requestsPerSecond, requestBurst, userAgent
	config.WarningHandler = &warnings{say: a.say}
	config.Wrap(func(next http.RoundTripper) http.RoundTripper { return &clockReader{next: next, api: a} })
	a.config = config
	return config, nil
}

// WarnTo has what the API server warns about from now on go elsewhere, until what
// it returns is called.
func (a *API) WarnTo(warn func(format string, args ...any)) (restore func()) {
	a.lock.Lock()
	defer a.lock.Unlock()
	before := a.warn
	a.warn = warn
	return func() {
		a.lock.Lock()
		defer a.lock.Unlock()
		a.warn = before
	}
}

func (a *API) say(format string, args ...any) {
	a.lock.Lock()
	warn := a.warn
	a.lock.Unlock()
	warn(format, args...)
}

// nowhere says whether the address is the one that clientcmd assumes where
// nothing names a cluster.
func (a *API) nowhere(config *rest.Config) bool {
	raw, err := a.flags.ToRawKubeConfigLoader().RawConfig()
	assumed := clientcmd.ClusterDefaults.Server
	return err == nil && len(raw.Clusters) == 0 && config.Host == assumed && !a.given.Changed("server")
}

// Client reads and writes the kinds that collect.Scheme knows.
func (a *API) Client() (client.Client, error) {
	config, err := a.RESTConfig()
	if err != nil {
		return nil, err
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.client != nil {
		return a.client, nil
	}
	scheme, err := collect.Scheme()
	if err != nil {
		return nil, err
	}
	a.client, err = client.New(config, client.Options{Scheme: scheme, Mapper: collect.Mapper()})
	return a.client, err
}

// Watcher is the same for what lasts: --request-timeout would end watches, so
// that whoever uses it bounds what must not last.
func (a *API) Watcher() (client.WithWatch, error) {
	config, err := a.RESTConfig()
	if err != nil {
		return nil, err
	}
	a.lock.Lock()
	defer a.lock.Unlock()
	if a.watcher != nil {
		return a.watcher, nil
	}
	scheme, err := collect.Scheme()
	if err != nil {
		return nil, err
	}
	lasting := rest.CopyConfig(config)
	lasting.Timeout = 0
	a.watcher, err = client.NewWithWatch(lasting, client.Options{Scheme: scheme, Mapper: collect.Mapper()})
	return a.watcher, err
}

// Namespace is -n, else the kubeconfig's, else "default".
func (a *API) Namespace() (string, error) {
	namespace, _, err := a.flags.ToRawKubeConfigLoader().Namespace()
	return namespace, err
}

// Contexts are the names of the kubeconfig's contexts, sorted.
func (a *API) Contexts() []string {
	raw, err := a.flags.ToRawKubeConfigLoader().RawConfig()
	if err != nil {
		return nil
	}
	return slices.Sorted(maps.Keys(raw.Contexts))
}

// Name is what to call the cluster: its context, or its address without one.
func (a *API) Name() string {
	if a.flags.Context != nil && *a.flags.Context != "" {
		return "context " + *a.flags.Context
	}
	if raw, err := a.flags.ToRawKubeConfigLoader().RawConfig(); err == nil && raw.CurrentContext != "" &&
		(a.flags.APIServer == nil || *a.flags.APIServer == "") {
		return "context " + raw.CurrentContext
	}
	if config, err := a.RESTConfig(); err == nil {
		return "the cluster at " + config.Host
	}
	return "the cluster"
}

// Arguments are the flags that name this cluster, as they were given: what to
// repeat in a command that somebody is told to type.
func (a *API) Arguments() string {
	var words []string
	for _, name := range [...]string{"kubeconfig", "context", "cluster", "user", "server", "as"} {
		if flag := a.given.Lookup(name); flag != nil && flag.Changed {
			words = append(words, "--"+name, session.Quoted(flag.Value.String()))
		}
	}
	return strings.Join(words, " ")
}

// Ahead is by how much the API server's clock is ahead of this machine's, 0
// where it has not answered. HTTP's Date header has whole seconds (RFC 9110
// section 5.6.7).
func (a *API) Ahead() time.Duration {
	a.lock.Lock()
	defer a.lock.Unlock()
	return a.ahead
}

// clockReader notes the time of the API server in each answer.
type clockReader struct {
	next http.RoundTripper
	api  *API
}

// WrappedRoundTripper is the transport below, for whoever cancels requests.
func (r *clockReader) WrappedRoundTripper() http.RoundTripper { return r.next }

// RoundTrip passes the request on.
func (r *clockReader) RoundTrip(request *http.Request) (*http.Response, error) {
	response, err := r.next.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	if date, bad := http.ParseTime(response.Header.Get("Date")); bad == nil {
		r.api.lock.Lock()
		r.api.ahead = date.Sub(r.api.now())
		r.api.lock.Unlock()
	}
	return response, nil
}
