package cluster

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// rotation is a change of the CA that Envoys know the operator by.
type rotation struct {
	began time.Time
	// old and next are certificates in PEM.
	old, next []byte
}

// The keys of the Secret that are certificates: the CA that signs, the one that
// will, and the one that did.
const (
	signs  = "ca.crt"
	will   = "next.crt"
	did    = "previous.crt"
	secret = "backendtls-xds-ca"
)

// rotate asks for another CA. Envoys get to know it before it signs.
func (l *life) rotate() *rotation {
	r := &rotation{began: time.Now(), old: l.authority()[signs]}
	object := &corev1.Secret{}
	object.Namespace, object.Name = system, secret
	patch := fmt.Sprintf(`{"metadata":{"annotations":{"backendtls.dev/rotate":%q}}}`, r.began.Format(time.RFC3339Nano))
	if err := here.client.Patch(l.Context(), object, client.RawPatch("application/merge-patch+json", []byte(patch))); err != nil {
		l.Fatal(err)
	}
	eventually(l.T, time.Minute, "another CA is there", func() string {
		if r.next = l.authority()[will]; r.next == nil {
			return "the Secret has none"
		}
		return ""
	})
	l.right(l.T, time.Minute)
	l.only(l.T, r.began, programmed)
	l.flawless(r.began)
	return r
}

// ends waits until the new CA signs and every Envoy has learned of it before,
// ends all replicas at once, so that every Envoy has to connect anew, and again
// when the old CA is not trusted any more.
func (r *rotation) ends(l *life) {
	if r == nil {
		l.Fatal("nothing was begun")
	}
	began := time.Now()
	eventually(l.T, 2*time.Minute, "the new CA signs", func() string {
		if now := l.authority(); !bytes.Equal(now[signs], r.next) || !bytes.Equal(now[did], r.old) {
			return "the Secret has not come to that"
		}
		return ""
	})
	l.Logf("the new CA signs %s after it was asked for", time.Since(r.began).Round(time.Second))
	envoys := l.ready(time.Minute, l.name(), envoyPods, 2)
	for i := range envoys {
		if !bytes.Contains(l.trusted(envoys[i].Name), r.next) {
			l.Errorf("%s does not know it", envoys[i].Name)
		}
	}
	l.right(l.T, time.Minute)
	l.only(l.T, began, programmed)
	l.killOperator()
	eventually(l.T, time.Minute, "the old CA is forgotten", func() string {
		if len(l.authority()[did]) > 0 {
			return "the Secret has it"
		}
		return ""
	})
	l.right(l.T, time.Minute)
	l.flawless(began)
}

// killOperator ends all replicas at once. Nothing is said or changed until one
// is there again, and every Envoy has to connect to it.
func (l *life) killOperator() {
	l.Helper()
	began := time.Now()
	for _, pod := range l.ready(60*time.Second, system, operatorPods, 2) {
		kill(l.T, pod.Name, operatorProgram)
	}
	l.right(l.T, time.Minute)
	l.ready(time.Minute, system, operatorPods, 2)
	l.only(l.T, began, programmed, pending, notHeard)
}

// authority is the content of the CA's Secret.
func (l *life) authority() map[string][]byte {
	l.Helper()
	var object corev1.Secret
	if err := here.client.Get(l.Context(), types.NamespacedName{Namespace: system, Name: secret}, &object); err != nil {
		l.Fatal(err)
	}
	return object.Data
}

// trusted is what an Envoy finds in its file of CA certificates, in PEM.
func (l *life) trusted(pod string) []byte {
	l.Helper()
	ids, err := processes(pod, envoyProgram)
	if err != nil || len(ids) != 1 {
		l.Fatalf("the processes of Envoy in pod %s are %v (%v), want one", pod, ids, err)
	}
	text, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(ids[0]), "root/etc/backendtls/ca.json"))
	if err != nil {
		l.Fatal(err)
	}
	var file struct {
		Resources []struct {
			ValidationContext struct {
				TrustedCA struct {
					InlineBytes []byte `json:"inline_bytes"`
				} `json:"trusted_ca"`
			} `json:"validation_context"`
		} `json:"resources"`
	}
	if err := json.Unmarshal(text, &file); err != nil || len(file.Resources) != 1 {
		l.Fatalf("%v: %s", err, text)
	}
	return file.Resources[0].ValidationContext.TrustedCA.InlineBytes
}
