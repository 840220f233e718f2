package authority

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	corev1 "k8s.io/api/core/v1"
)

// rotate asks for a new CA.
func (c *cluster) rotate(value string) {
	c.t.Helper()
	c.edit(func(s *corev1.Secret) {
		if s.Annotations == nil {
			s.Annotations = map[string]string{}
		}
		s.Annotations[AnnotationRotate] = value
	})
}

func TestANewCAIsTrustedFirstThenSignsThenTheOldOneIsDropped(t *testing.T) {
	for name, ask := range map[string]func(*cluster){
		"because of its age":   func(c *cluster) { c.pass(244 * 24 * time.Hour) },
		"because it was asked": func(c *cluster) { c.rotate("2026-01-01") },
		"because the secret was emptied": func(c *cluster) {
			c.edit(func(s *corev1.Secret) { s.Data, s.Annotations = nil, nil })
		},
		"because the secret was spoilt": func(c *cluster) {
			c.edit(func(s *corev1.Secret) { s.Data[currentKey] = []byte("x") })
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			leader, follower := c.replica(true), c.replica(false)
			old := leader.signer()
			ask(c)
			expect := func(when, signer string, names ...string) {
				t.Helper()
				for who, r := range map[string]*replica{"leader": leader, "follower": follower} {
					r.look()
					if got := trusted(t, r.Bundle()); !slices.Equal(got, names) {
						t.Errorf("%s the %s trusts %v, want %v", when, who, got, names)
					}
					if got := r.signer(); got != signer {
						t.Errorf("%s the %s signs with %s, want %s", when, who, got, signer)
					}
				}
			}
			leader.look()
			next := trusted(t, leader.Bundle())[1]
			expect("at first", old, old, next)
			c.pass(TrustFirst - time.Second)
			expect("just before it signs", old, old, next)
			c.pass(time.Second)
			leader.look()
			expect("when it signs", next, next, old)
			// Another replica leads from here on.
			leader.leads.Store(false)
			follower.leads.Store(true)
			c.pass(TrustAfter - time.Second)
			expect("just before the old one is dropped", next, next, old)
			c.pass(time.Second)
			follower.look()
			expect("in the end", next, next)
			c.pass(24 * time.Hour)
			expect("a day later", next, next)
			for _, key := range []string{nextCertificate, nextKey, previousCertificate} {
				if c.secret().Data[key] != nil {
					t.Errorf("%s is left", key)
				}
			}
		})
	}
}

func TestTheStepsTakeAsLongAsIsConfigured(t *testing.T) {
	c := newCluster(t)
	leader := c.replica(true, func(config *Config) {
		config.TrustFirst, config.TrustAfter = 2*time.Minute, time.Minute
	})
	old := leader.signer()
	c.rotate("1")
	leader.look()
	c.pass(2*time.Minute - time.Second)
	leader.look()
	if got := leader.signer(); got != old {
		t.Errorf("%s signs too early", got)
	}
	c.pass(time.Second)
	leader.look()
	if got := leader.signer(); got == old {
		t.Error("the old CA still signs")
	}
	c.pass(time.Minute - time.Second)
	leader.look()
	if got := trusted(t, leader.Bundle()); !slices.Contains(got, old) {
		t.Errorf("%v are trusted, %s is not any more", got, old)
	}
	c.pass(time.Second)
	leader.look()
	if got := trusted(t, leader.Bundle()); slices.Contains(got, old) {
		t.Errorf("%v are trusted, %s is still among them", got, old)
	}
}

func TestAnEnvoyWithTheBundleOfTwoMinutesAgoIsServedThroughoutARotation(t *testing.T) {
	c := newCluster(t)
	leader, follower := c.replica(true), c.replica(false)
	c.rotate("1")
	// The steps are minutes long; looking each minute sees all of them.
	const late = 2
	var bundles [][]byte
	for i := range int((TrustFirst+TrustAfter)/time.Minute) + 10 {
		bundles = append(bundles, leader.Bundle())
		known := bundles[max(0, i-late)]
		for who, server := range map[string]*replica{"leader": leader, "follower": follower} {
			if err := c.accepts(server, known); err != nil {
				t.Fatalf("%s after the beginning the %s is refused: %v", time.Duration(i)*time.Minute, who, err)
			}
		}
		c.pass(time.Minute)
		leader.look()
		follower.look()
	}
	if len(trusted(t, bundles[0])) != 1 || len(trusted(t, bundles[len(bundles)-1])) != 1 ||
		string(bundles[0]) == string(bundles[len(bundles)-1]) {
		t.Error("the CA was not rotated")
	}
}

func TestARequestToRotateIsAnsweredOnce(t *testing.T) {
	c := newCluster(t)
	r := c.replica(true)
	count := func() int { return strings.Count(r.words.String(), "a new one is trusted") }
	through := func() {
		for range 4 {
			r.look()
			c.pass(TrustAfter)
		}
	}
	c.rotate("a")
	through()
	through()
	if count() != 1 {
		t.Errorf("%d rotations for one request", count())
	}
	// Asked again in the middle: after the one that is under way.
	c.rotate("b")
	r.look()
	c.rotate("c")
	through()
	through()
	if count() != 3 {
		t.Errorf("%d rotations for three requests", count())
	}
	c.edit(func(s *corev1.Secret) { delete(s.Annotations, AnnotationRotate) })
	through()
	if count() != 3 {
		t.Error("taking the request back rotated")
	}
}

func TestAStepWhoseTimeIsNotKnownBeginsAnew(t *testing.T) {
	for name, value := range map[string]string{
		"gone": "", "garbage": "yesterday", "in the future": "2036-01-01T00:00:00Z",
	} {
		t.Run(name, func(t *testing.T) {
			c := newCluster(t)
			r := c.replica(true)
			spoil := func(annotation string) {
				c.edit(func(s *corev1.Secret) { s.Annotations[annotation] = value })
			}
			c.rotate("a")
			r.look()
			c.pass(TrustFirst - time.Minute)
			spoil(annotationNextSince)
			old := r.signer()
			r.look()
			c.pass(TrustFirst - time.Second)
			r.look()
			if r.signer() != old {
				t.Error("the next one signs though nobody knows how long it was trusted")
			}
			c.pass(time.Second)
			r.look()
			if r.signer() == old {
				t.Fatal("the next one never signs")
			}
			c.pass(TrustAfter - time.Minute)
			spoil(annotationPreviousSince)
			r.look()
			c.pass(TrustAfter - time.Second)
			r.look()
			if len(trusted(t, r.Bundle())) != 2 {
				t.Error("the old one was dropped though nobody knows how long it did not sign")
			}
			c.pass(time.Second)
			r.look()
			if len(trusted(t, r.Bundle())) != 1 {
				t.Error("the old one is never dropped")
			}
		})
	}
}

func TestAPartOfARotationThatCannotBeUsedIsLeftOut(t *testing.T) {
	c := newCluster(t)
	r := c.replica(true)
	signer := r.signer()
	for _, key := range []string{nextCertificate, nextKey, previousCertificate} {
		c.edit(func(s *corev1.Secret) { s.Data[key] = []byte("garbage") })
		r.look()
		if got := trusted(t, r.Bundle()); !slices.Equal(got, []string{signer}) || r.signer() != signer {
			t.Errorf("with garbage in %s it trusts %v and signs with %s", key, got, r.signer())
		}
		if c.secret().Data[key] != nil {
			t.Errorf("%s is left", key)
		}
		if !strings.Contains(r.words.String(), key) {
			t.Errorf("nothing is said of %s: %s", key, r.words)
		}
	}
}

func TestACAThatExpiredIsReplacedAtOnce(t *testing.T) {
	c := newCluster(t)
	c.replica(true)
	c.pass(366 * 24 * time.Hour)
	follower := c.replica(false)
	if follower.Bundle() != nil || !strings.Contains(follower.words.String(), "expired at 2027-01-01T00:00:00Z") {
		t.Errorf("a follower says %s", follower.words)
	}
	leader := c.replica(true)
	if err := c.accepts(leader, leader.Bundle()); err != nil {
		t.Error(err)
	}
}

func TestALeaderThatNeverComesLeavesTheOldOneUntilItsEnd(t *testing.T) {
	c := newCluster(t)
	c.replica(true)
	r := c.replica(false)
	bundle := r.Bundle()
	for month := range 12 {
		c.pass(30 * 24 * time.Hour)
		r.look()
		if err := c.accepts(r, bundle); err != nil {
			t.Errorf("after %d months: %v", month+1, err)
		}
	}
	c.pass(6 * 24 * time.Hour)
	r.look()
	if _, err := r.TLSConfig().GetCertificate(nil); err == nil {
		t.Error("it serves with a CA that has expired")
	}
}

func TestStatesAreStoredAsTheyAreRead(t *testing.T) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	fresh := func() *ca {
		made, err := newCA(now)
		if err != nil {
			t.Fatal(err)
		}
		return made
	}
	for i, s := range []*state{
		{current: fresh()},
		{current: fresh(), next: fresh(), nextSince: now, rotated: "x"},
		{current: fresh(), previous: fresh(), previousSince: now.Add(-time.Hour)},
		{current: fresh(), next: fresh(), nextSince: now, previous: fresh(), previousSince: now},
	} {
		secret := shipped()
		secret.Data = map[string][]byte{"mine": []byte("kept")}
		s.store(secret)
		got, err := parse(secret, now)
		if err != nil {
			t.Fatal(err)
		}
		if describe(got) != describe(s) || string(secret.Data["mine"]) != "kept" {
			t.Errorf("%d: stored %s, read %s", i, describe(s), describe(got))
		}
	}
}

func describe(s *state) string {
	return fmt.Sprintf("%s %s %s %s %q %v", s.bundle(), s.nextSince, s.previousSince, s.current.keyPEM, s.rotated, s.repairs)
}

func FuzzSecret(f *testing.F) {
	now := time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC)
	made, err := newCA(now)
	if err != nil {
		f.Fatal(err)
	}
	f.Add(made.pem(), made.keyPEM, []byte(nil), []byte(nil), []byte(nil), "")
	f.Add(made.pem(), made.keyPEM, made.pem(), made.keyPEM, made.pem(), "2026-01-01T00:00:00Z")
	f.Add([]byte("x"), []byte("-----BEGIN PRIVATE KEY-----\n-----END PRIVATE KEY-----\n"), []byte{}, []byte{}, []byte{}, "x")
	f.Fuzz(func(t *testing.T, a, b, c, d, e []byte, at string) {
		secret := shipped()
		secret.Data = map[string][]byte{
			currentCertificate: a, currentKey: b, nextCertificate: c, nextKey: d, previousCertificate: e,
		}
		secret.Annotations = map[string]string{annotationNextSince: at, annotationPreviousSince: at}
		s, err := parse(secret, now)
		if err != nil {
			return
		}
		if _, err := s.current.issue([]string{serverName}, now); err != nil {
			t.Errorf("a CA was taken that cannot sign: %v", err)
		}
		written := shipped()
		s.store(written)
		again, err := parse(written, now)
		if err != nil || string(again.bundle()) != string(s.bundle()) {
			t.Errorf("what was stored cannot be read: %v", err)
		}
	})
}
