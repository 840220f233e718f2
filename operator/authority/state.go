package authority

import (
	"bytes"
	"errors"
	"fmt"
	"time"

	corev1 "k8s.io/api/core/v1"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// The keys of the Secret.
const (
	currentCertificate  = "ca.crt"
	currentKey          = "ca.key"
	nextCertificate     = "next.crt"
	nextKey             = "next.key"
	previousCertificate = "previous.crt"
)

// The annotations of the Secret.
const (
	// AnnotationRotate asks for a new CA whenever its value changes.
	AnnotationRotate = gwapi.Prefix + "rotate"
	// annotationRotated is the value of AnnotationRotate that was answered last.
	annotationRotated = gwapi.Prefix + "rotated"
	// annotationNextSince is since when the next CA is trusted, and
	// annotationPreviousSince since when the previous one does not sign any more,
	// as RFC 3339.
	annotationNextSince     = gwapi.Prefix + "next-since"
	annotationPreviousSince = gwapi.Prefix + "previous-since"
)

// state is what the Secret holds: all there is to know of the CA.
type state struct {
	// current signs. It has a key, as has next.
	current *ca
	// next is trusted and does not sign yet; nil for none.
	next      *ca
	nextSince time.Time
	// previous is trusted and does not sign any more; nil for none. Its key is
	// not kept.
	previous      *ca
	previousSince time.Time
	// rotated is the request to rotate that was answered last.
	rotated string
	// repairs are the parts that were left out because they cannot be used.
	repairs []string
}

var errEmpty = errors.New("it is empty")

// parse reads the state. An error means that there is no CA to sign with. A
// next or previous CA that cannot be used is left out: rotation begins again,
// or ends.
func parse(secret *corev1.Secret, now time.Time) (*state, error) {
	if empty(secret) {
		return nil, errEmpty
	}
	current, err := usable(secret, currentCertificate, currentKey, now)
	if err != nil {
		return nil, err
	}
	s := &state{current: current, rotated: secret.Annotations[annotationRotated]}
	if secret.Data[nextCertificate] != nil || secret.Data[nextKey] != nil {
		next, err := usable(secret, nextCertificate, nextKey, now)
		if err != nil {
			s.repairs = append(s.repairs, err.Error())
		} else {
			s.next, s.nextSince = next, since(secret, annotationNextSince, now)
		}
	}
	if secret.Data[previousCertificate] != nil {
		previous, err := parseCA(secret.Data[previousCertificate], nil, false)
		if err != nil {
			s.repairs = append(s.repairs, fmt.Sprintf("%s: %v", previousCertificate, err))
		} else {
			s.previous, s.previousSince = previous, since(secret, annotationPreviousSince, now)
		}
	}
	return s, nil
}

// usable is a CA of the Secret that can sign now.
func usable(secret *corev1.Secret, certificate, key string, now time.Time) (*ca, error) {
	c, err := parseCA(secret.Data[certificate], secret.Data[key], true)
	if err == nil && c.expired(now) {
		err = fmt.Errorf("expired at %s", c.end())
	}
	if err != nil {
		return nil, fmt.Errorf("%s and %s: %w", certificate, key, err)
	}
	return c, nil
}

// empty says whether there is nothing in any key of ours.
func empty(secret *corev1.Secret) bool {
	for _, key := range []string{currentCertificate, currentKey, nextCertificate, nextKey, previousCertificate} {
		if len(bytes.TrimSpace(secret.Data[key])) > 0 {
			return false
		}
	}
	return true
}

// since is the time in an annotation; zero where it is none, or not past, so
// that the step is begun anew rather than ended early or never.
func since(secret *corev1.Secret, annotation string, now time.Time) time.Time {
	at, err := time.Parse(time.RFC3339, secret.Annotations[annotation])
	if err != nil || at.After(now.Add(clockSkew)) {
		return time.Time{}
	}
	return at
}

// store writes the state into a Secret and leaves everything else in it.
func (s *state) store(secret *corev1.Secret) {
	if secret.Data == nil {
		secret.Data = map[string][]byte{}
	}
	if secret.Annotations == nil {
		secret.Annotations = map[string]string{}
	}
	put := func(name string, value []byte) {
		if value == nil {
			delete(secret.Data, name)
			return
		}
		secret.Data[name] = value
	}
	note := func(name, value string) {
		if value == "" {
			delete(secret.Annotations, name)
			return
		}
		secret.Annotations[name] = value
	}
	put(currentCertificate, s.current.pem())
	put(currentKey, s.current.keyPEM)
	put(nextCertificate, s.next.pem())
	put(previousCertificate, s.previous.pem())
	put(nextKey, nil)
	note(annotationNextSince, "")
	note(annotationPreviousSince, "")
	if s.next != nil {
		put(nextKey, s.next.keyPEM)
		note(annotationNextSince, s.nextSince.UTC().Format(time.RFC3339))
	}
	if s.previous != nil {
		note(annotationPreviousSince, s.previousSince.UTC().Format(time.RFC3339))
	}
	note(annotationRotated, s.rotated)
}

// bundle is what is to be trusted, the one that signs first.
func (s *state) bundle() []byte {
	return bytes.Join([][]byte{s.current.pem(), s.next.pem(), s.previous.pem()}, nil)
}
