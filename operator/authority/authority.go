package authority

import (
	"cmp"
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Secret is the name of the Secret that holds the CA.
const Secret = "backendtls-xds-ca" //nolint:gosec // its name, not its content

const (
	// period is how often the Secret is read: a request to rotate is noticed, and
	// a step of another leader followed, within it. Reading one object by name
	// needs fewer rights than watching it.
	period = 10 * time.Second
	// impatience is the period while there is no CA: nothing can be served.
	impatience = time.Second
	// requestTimeout bounds one request to the API server.
	requestTimeout = 5 * time.Second
)

// Client reads and writes the Secret: get and update, by name. It must not be
// one that reads from a cache, which would have to list all Secrets.
type Client interface {
	Get(ctx context.Context, key client.ObjectKey, object client.Object, options ...client.GetOption) error
	Update(ctx context.Context, object client.Object, options ...client.UpdateOption) error
}

// Config is what an Authority needs.
type Config struct {
	Client Client
	// Namespace is the operator's.
	Namespace string
	// Leading says whether this replica may write.
	Leading func() bool
	// ServerNames are the DNS names in the certificates of servers. Clients that
	// use ClientConfig ask for the first one.
	ServerNames []string
	// TrustFirst and TrustAfter replace the bounds of the same names; 0 for these.
	TrustFirst, TrustAfter time.Duration
	// Log gets a line for each step; nil discards.
	Log *slog.Logger
	// Now is the clock that certificates and steps are measured by; nil is
	// time.Now.
	Now func() time.Time
}

// Authority has the CA, once there is one.
type Authority struct {
	config  Config
	secret  types.NamespacedName
	changes chan struct{}

	mu sync.Mutex
	// state is what the Secret was last seen to hold, or what was written; nil
	// before there was a CA.
	state  *state
	bundle []byte
	leaf   *leaf
	// fault is what was said last of the Secret, so as to say it once.
	fault string
}

// Open prepares an Authority and looks once for the CA. That there is none yet,
// or that it cannot be read now, is no error: Run looks again. An error means
// that the Config is of no use.
func Open(ctx context.Context, config Config) (*Authority, error) {
	switch {
	case config.Client == nil || config.Leading == nil:
		return nil, errors.New("authority: Config.Client and Config.Leading must be set")
	case config.Namespace == "":
		return nil, errors.New("authority: Config.Namespace is empty, want the operator's")
	case config.TrustFirst < 0 || config.TrustAfter < 0:
		return nil, errors.New("authority: Config.TrustFirst and Config.TrustAfter must not be negative")
	case len(config.ServerNames) == 0:
		return nil, errors.New("authority: Config.ServerNames is empty: clients could not know the server")
	}
	if config.Log == nil {
		config.Log = slog.New(slog.DiscardHandler)
	}
	if config.Now == nil {
		config.Now = time.Now
	}
	config.TrustFirst = cmp.Or(config.TrustFirst, TrustFirst)
	config.TrustAfter = cmp.Or(config.TrustAfter, TrustAfter)
	a := &Authority{
		config:  config,
		secret:  types.NamespacedName{Namespace: config.Namespace, Name: Secret},
		changes: make(chan struct{}, 1),
	}
	a.step(ctx)
	return a, nil
}

// Run follows the Secret, and on the leader creates and rotates the CA, until
// ctx ends.
func (a *Authority) Run(ctx context.Context) error {
	timer := time.NewTimer(a.patience())
	defer timer.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-timer.C:
			a.step(ctx)
			timer.Reset(a.patience())
		}
	}
}

func (a *Authority) patience() time.Duration {
	if a.Bundle() == nil {
		return impatience
	}
	return period
}

// Bundle is every CA certificate to be trusted now, in PEM, the one that signs
// first; nil until it is known. It must not be changed.
func (a *Authority) Bundle() []byte {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.bundle
}

// Changes gets a value after the Bundle changed; several changes may be one
// value.
func (a *Authority) Changes() <-chan struct{} { return a.changes }

// TLSConfig is for servers: TLS 1.3 with a certificate of this hour, asked for
// at each handshake. Handshakes fail while there is no CA.
func (a *Authority) TLSConfig() *tls.Config {
	return &tls.Config{
		MinVersion:     tls.VersionTLS13,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return a.certificate() },
		// Each connection proves the server anew, whatever was trusted before.
		SessionTicketsDisabled: true,
	}
}

// ClientConfig is for clients of those servers. It trusts the Bundle as it is
// now, nobody while there is none; ask anew for each connection.
func (a *Authority) ClientConfig() *tls.Config {
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM(a.Bundle())
	return &tls.Config{MinVersion: tls.VersionTLS13, RootCAs: roots, ServerName: a.config.ServerNames[0]}
}

// step does what is due, and logs what stands against it. Until that has
// passed, the CA that was known goes on.
func (a *Authority) step(ctx context.Context) {
	if what, err := a.follow(ctx); err == nil || ctx.Err() == nil {
		a.say(what, err)
	}
}

// follow reads the Secret, takes what it holds, and on the leader writes the
// next step, if one is due. The words say what an error stands against.
func (a *Authority) follow(ctx context.Context) (what string, err error) {
	secret, err := a.read(ctx)
	if err != nil {
		return "the secret of the xds CA cannot be read", err
	}
	held, fault := parse(secret, a.config.Now())
	if fault == nil {
		a.adopt(held)
	}
	if a.config.Leading() {
		return a.lead(ctx, secret, held, fault)
	}
	if errors.Is(fault, errEmpty) && a.Bundle() == nil {
		// So begins every installation; readiness says that the leader is waited for.
		return "", nil
	}
	return "the secret of the xds CA holds none that can be used, waiting for the leader", fault
}

// lead writes what follows the state held; held is nil where there is a fault.
func (a *Authority) lead(ctx context.Context, secret *corev1.Secret, held *state, fault error) (string, error) {
	due, why, err := a.next(secret, held, fault)
	if err != nil {
		return "the next step of the xds CA cannot be made", err
	}
	if why == "" {
		return "", nil
	}
	written := secret.DeepCopy()
	due.store(written)
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	// With the resourceVersion that was read: of two that write, one loses and
	// looks again.
	err = a.config.Client.Update(ctx, written)
	if apierrors.IsConflict(err) {
		a.config.Log.Info("somebody else changed the secret of the xds CA, looking again", "secret", a.secret.String())
		return "", nil
	}
	if err != nil {
		return "the secret of the xds CA cannot be written", fmt.Errorf("secret %s: %w", a.secret, err)
	}
	a.config.Log.Info("xds CA: "+why, "secret", a.secret.String(), "signs", due.current.name(),
		"expires", due.current.certificate.NotAfter)
	a.adopt(due)
	return "", nil
}

func (a *Authority) read(ctx context.Context) (*corev1.Secret, error) {
	ctx, cancel := context.WithTimeout(ctx, requestTimeout)
	defer cancel()
	var secret corev1.Secret
	err := a.config.Client.Get(ctx, a.secret, &secret)
	if apierrors.IsNotFound(err) {
		return nil, fmt.Errorf("secret %s does not exist, want the empty one that the manifests ship: %w", a.secret, err)
	}
	if err != nil {
		return nil, fmt.Errorf("secret %s: %w", a.secret, err)
	}
	return &secret, nil
}

// adopt makes a state the one that is served.
func (a *Authority) adopt(s *state) {
	a.mu.Lock()
	bundle := s.bundle()
	same := string(bundle) == string(a.bundle)
	a.state, a.bundle = s, bundle
	a.mu.Unlock()
	if same {
		return
	}
	select {
	case a.changes <- struct{}{}:
	default:
	}
}

// known is the state that is served.
func (a *Authority) known() *state {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.state
}

// say logs a fault when it is new, and that it has passed.
func (a *Authority) say(what string, fault error) {
	text := ""
	if fault != nil {
		text = what + ": " + fault.Error()
	}
	a.mu.Lock()
	before := a.fault
	a.fault = text
	a.mu.Unlock()
	switch {
	case text == before:
	case text == "":
		a.config.Log.Info("the secret of the xds CA is in order again", "secret", a.secret.String())
	default:
		a.config.Log.Error(what, "secret", a.secret.String(), "error", fault)
	}
}
