package authority

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/runtime/schema"

	"github.com/backendtls/backendtls/operator/apitest"
)

func TestTheLeaderFillsTheSecretAndAFollowerServesFromIt(t *testing.T) {
	c := newCluster(t)
	follower := c.replica(false)
	if follower.Bundle() != nil {
		t.Error("a follower made a CA of its own")
	}
	if _, err := follower.TLSConfig().GetCertificate(nil); err == nil {
		t.Error("a follower has a certificate of no CA")
	}
	leader := c.replica(true)
	select {
	case <-leader.Changes():
	default:
		t.Error("the bundle changed and nobody is told")
	}
	follower.look()
	if a, b := string(leader.Bundle()), string(follower.Bundle()); a != b || a == "" {
		t.Errorf("the leader trusts\n%s\nthe follower\n%s", a, b)
	}
	for name, server := range map[string]*replica{"leader": leader, "follower": follower} {
		if err := c.accepts(server, leader.Bundle()); err != nil {
			t.Errorf("the %s is not accepted: %v", name, err)
		}
	}
	if got := c.secret().Labels["app.kubernetes.io/part-of"]; got != "backendtls" {
		t.Error("the labels of the shipped secret are lost")
	}
	for _, r := range c.Requests() {
		if r.Resource != "secrets" || r.Name != Secret || r.Verb != "get" && r.Verb != "update" {
			t.Errorf("it needs the right to %s %s %q", r.Verb, r.Resource, r.Name)
		}
	}
}

func TestCertificatesAreShortAndModern(t *testing.T) {
	c := newCluster(t)
	r := c.replica(true)
	first, err := r.TLSConfig().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	if life := first.Leaf.NotAfter.Sub(*c.now.Load()); life != 24*time.Hour {
		t.Errorf("a certificate lasts %s", life)
	}
	if !slices.Equal(first.Leaf.DNSNames, []string{serverName, "localhost"}) || first.Leaf.IsCA {
		t.Errorf("the names are %v", first.Leaf.DNSNames)
	}
	ca := r.known().current.certificate
	if life := ca.NotAfter.Sub(*c.now.Load()); life != 365*24*time.Hour || ca.PublicKeyAlgorithm.String() != "ECDSA" {
		t.Errorf("the CA lasts %s, with %s", life, ca.PublicKeyAlgorithm)
	}
	c.pass(15 * time.Hour)
	if again, _ := r.TLSConfig().GetCertificate(nil); again != first {
		t.Error("a new certificate before two thirds of the life of the last one")
	}
	c.pass(2 * time.Hour)
	if again, _ := r.TLSConfig().GetCertificate(nil); again == first {
		t.Error("the same certificate after two thirds of its life")
	}
	if err := c.accepts(r, r.Bundle()); err != nil {
		t.Error(err)
	}
}

func TestTheOperatorsOwnClientsTrustTheBundleOnly(t *testing.T) {
	mine, others := newCluster(t).replica(true), newCluster(t).replica(true)
	empty := newCluster(t).replica(false)
	for name, test := range map[string]struct {
		server, client *replica
		accepted       bool
	}{
		"its own":             {server: mine, client: mine, accepted: true},
		"another CA":          {server: others, client: mine},
		"a client without CA": {server: mine, client: empty},
		"a server without CA": {server: empty, client: mine},
	} {
		t.Run(name, func(t *testing.T) {
			config := test.client.ClientConfig()
			config.Time = mine.config.Now
			if err := handshake(t, test.server.TLSConfig(), config); (err == nil) != test.accepted {
				t.Errorf("the handshake ended with %v", err)
			}
		})
	}
}

func TestOfTwoThatWriteOneWinsAndBothServeIt(t *testing.T) {
	c := newCluster(t)
	// Both believe that they lead, and read the empty Secret before either writes.
	var read sync.WaitGroup
	read.Add(2)
	seen := map[int]bool{}
	var mu sync.Mutex
	replicas := []*replica{c.replica(false), c.replica(false)}
	c.Hook(func(_ context.Context, r apitest.Request) error {
		if r.Verb != "update" {
			return nil
		}
		mu.Lock()
		first := len(seen) < 2
		seen[len(seen)] = true
		mu.Unlock()
		if first {
			read.Done()
			read.Wait()
		}
		return nil
	})
	var work sync.WaitGroup
	for _, r := range replicas {
		r.leads.Store(true)
		work.Go(r.look)
	}
	work.Wait()
	for _, r := range replicas {
		r.look()
	}
	if a, b := trusted(t, replicas[0].Bundle()), trusted(t, replicas[1].Bundle()); !slices.Equal(a, b) || len(a) != 1 {
		t.Errorf("one trusts %v, the other %v", a, b)
	}
	if a, b := replicas[0].signer(), replicas[1].signer(); a != b {
		t.Errorf("one signs with %s, the other with %s", a, b)
	}
	said := replicas[0].words.String() + replicas[1].words.String()
	if strings.Count(said, "looking again") != 1 {
		t.Errorf("there was no conflict, or more than one: %s", said)
	}
}

func TestWhatTheSecretHoldsIsUsedWholeOrNotAtAll(t *testing.T) {
	good, foreign := newCluster(t), newCluster(t)
	good.replica(true)
	foreign.replica(true)
	data, theirs := good.secret().Data, foreign.secret().Data
	with := func(changes map[string][]byte) map[string][]byte {
		changed := maps.Clone(data)
		maps.Copy(changed, changes)
		return changed
	}
	leaf := leafPEM(t, good.replica(false))
	for name, test := range map[string]struct {
		data  map[string][]byte
		words string
	}{
		// How every installation begins: nothing to complain of.
		"nothing":                   {},
		"empty values":              {data: map[string][]byte{currentCertificate: {}, currentKey: []byte("\n")}},
		"garbage":                   {data: with(map[string][]byte{currentCertificate: []byte("hello")}), words: "no CERTIFICATE in PEM"},
		"broken DER":                {data: with(map[string][]byte{currentCertificate: []byte("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n")}), words: "ca.crt and ca.key: the certificate:"},
		"no certificate":            {data: with(map[string][]byte{currentCertificate: nil}), words: "no CERTIFICATE in PEM"},
		"no key":                    {data: with(map[string][]byte{currentKey: nil}), words: "no PRIVATE KEY in PEM"},
		"a key of another kind":     {data: with(map[string][]byte{currentKey: []byte("-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n")}), words: "PKCS #8"},
		"the key of another":        {data: with(map[string][]byte{currentKey: theirs[currentKey]}), words: "not the certificate's"},
		"two certificates":          {data: with(map[string][]byte{currentCertificate: append(slices.Clone(data[currentCertificate]), theirs[currentCertificate]...)}), words: "several blocks"},
		"a certificate of no CA":    {data: with(map[string][]byte{currentCertificate: leaf}), words: "not one of a CA"},
		"something very long":       {data: with(map[string][]byte{currentCertificate: []byte(strings.Repeat("a", maxPEM+1))}), words: "longer than"},
		"a next one and no current": {data: map[string][]byte{nextCertificate: data[currentCertificate], nextKey: data[currentKey]}, words: "ca.crt and ca.key"},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			c.edit(func(s *corev1.Secret) { s.Data = test.data })
			follower := c.replica(false)
			if follower.Bundle() != nil || !strings.Contains(follower.words.String(), test.words) ||
				test.words == "" && follower.words.String() != "" {
				t.Errorf("a follower trusts %v and says %s", trusted(t, follower.Bundle()), follower.words)
			}
			if _, err := follower.TLSConfig().GetCertificate(nil); !errors.Is(err, errNoCA) {
				t.Errorf("a follower serves: %v", err)
			}
			leader := c.replica(true)
			follower.look()
			if err := c.accepts(follower, leader.Bundle()); err != nil || len(trusted(t, leader.Bundle())) != 1 {
				t.Errorf("after the leader: %v", err)
			}
			replaced := strings.Contains(leader.words.String(), "replacing an xds CA that cannot be used")
			if garbage := test.words != ""; replaced != garbage {
				t.Errorf("the leader says %s", leader.words)
			}
			if said := leader.words.String() + follower.words.String(); strings.Contains(said, "PRIVATE KEY-----") {
				t.Errorf("a key is in %s", said)
			}
		})
	}
}

func leafPEM(t *testing.T, r *replica) []byte {
	t.Helper()
	certificate, err := r.TLSConfig().GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return (&ca{certificate: certificate.Leaf}).pem()
}

func TestWhatCannotBeReadOrWrittenIsSaidOnceAndTriedAgain(t *testing.T) {
	c := newCluster(t)
	r := c.replica(true)
	before := r.signer()
	forbidden := apierrors.NewForbidden(schema.GroupResource{Resource: "secrets"}, Secret, errors.New("no right"))
	allowRead := c.Hook(func(context.Context, apitest.Request) error { return forbidden })
	for range 3 {
		r.look()
	}
	if n := strings.Count(r.words.String(), "cannot be read"); n != 1 || !strings.Contains(r.words.String(), "no right") {
		t.Errorf("said %d times: %s", n, r.words)
	}
	if r.signer() != before {
		t.Error("what was known does not go on")
	}
	allowRead()
	allowWrite := c.Hook(func(_ context.Context, request apitest.Request) error {
		if request.Verb == "update" {
			return forbidden
		}
		return nil
	})
	c.put(func(s *corev1.Secret) { s.Annotations = map[string]string{AnnotationRotate: "now"} })
	for range 3 {
		r.look()
	}
	if n := strings.Count(r.words.String(), "cannot be written"); n != 1 {
		t.Errorf("said %d times: %s", n, r.words)
	}
	if len(trusted(t, r.Bundle())) != 1 {
		t.Error("what was not written counts")
	}
	allowWrite()
	r.look()
	r.look()
	if !strings.Contains(r.words.String(), "in order again") || len(trusted(t, r.Bundle())) != 2 {
		t.Errorf("it does not go on: %s", r.words)
	}
	missing := newCluster(t)
	missing.Delete(shipped())
	if said := missing.replica(true).words.String(); !strings.Contains(said, "the empty one that the manifests ship") {
		t.Errorf("without the secret it says %s", said)
	}
}

// put changes the Secret past the hook.
func (c *cluster) put(change func(*corev1.Secret)) {
	secret := c.secret()
	change(secret)
	c.Put(secret)
}

func TestRunLooksAgainUntilThereIsACA(t *testing.T) {
	c := newCluster(t)
	r := c.replica(false)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- r.Run(ctx) }()
	r.leads.Store(true)
	select {
	case <-r.Changes():
	case <-time.After(time.Minute):
		t.Error("no CA")
	}
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if r.Bundle() == nil {
		t.Error("no bundle")
	}
}

func TestAnAuthorityIsRefusedThatLacksAnything(t *testing.T) {
	whole := newCluster(t).replica(false).config
	for name, change := range map[string]func(*Config){
		"client":    func(c *Config) { c.Client = nil },
		"leading":   func(c *Config) { c.Leading = nil },
		"namespace": func(c *Config) { c.Namespace = "" },
		"names":     func(c *Config) { c.ServerNames = nil },
	} {
		config := whole
		change(&config)
		if _, err := Open(t.Context(), config); err == nil {
			t.Errorf("without %s one was made", name)
		}
	}
}
