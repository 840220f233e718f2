package plugin

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/yaml"

	"github.com/backendtls/backendtls/plugin/apiservertest"
)

// forms are the ways in which each verb that reads prints.
var forms = map[string]string{
	"inspect": "table wide json yaml name jsonpath={.items[*]}",
	"fetch":   "table wide json yaml pem jsonpath={.items[*]}",
	"verify":  "table wide json yaml jsonpath={.items[*]}",
}

// poisonous are the fields that strangers write: other controllers in statuses,
// teams in policies, routes and annotations.
var poisonous = []string{
	"message", "reason", "type", "controllerName", "appProtocol", "backendtls.dev/mode-reason", "description",
	"example.com/note", "host", "mode",
}

// poisoned appends the text to what is written in those fields, and adds
// annotations, options and conditions of its own.
func poisoned(value any, text string) any {
	switch typed := value.(type) {
	case map[string]any:
		for key, each := range typed {
			if word, is := each.(string); is && slices.Contains(poisonous, key) && !strings.Contains(word, "Hostname") {
				typed[key] = word + text
				continue
			}
			typed[key] = poisoned(each, text)
		}
	case []any:
		for i := range typed {
			typed[i] = poisoned(typed[i], text)
		}
	}
	return value
}

// poisonCluster rewrites every object of the API server.
func (s *clusterShop) poisonCluster(fixture, text string, parts ...string) {
	s.t.Helper()
	objects := s.objects(fixture)
	for _, object := range objects {
		for _, part := range parts {
			if each, found := object.Object[part]; found && object.GetKind() != "GatewayParameters" {
				object.Object[part] = poisoned(each, text)
			}
		}
		object.SetAnnotations(map[string]string{"example.com/note" + text: text})
	}
	s.api = apiservertest.New(s.t, objects...)
	s.api.Now = func() time.Time { return now }
	if s.pods != nil {
		s.api.Forward = s.pods
	}
}

// TestNoByteOfAStrangerReachesTheTerminal holds for every verb and form: what
// strangers wrote into a cluster is shown without anything that would drive a
// terminal, JSON and YAML stay what they are, and no line is a stranger's own.
func TestNoByteOfAStrangerReachesTheTerminal(t *testing.T) {
	long := strings.Repeat("all work and no play ", 2_000)
	for _, world := range []struct {
		name, fixture, text string
		parts               []string
	}{
		{"statuses of others", "neighbours/istio", hostile, []string{"status"}},
		{"statuses of Envoy Gateway", "neighbours/envoygateway", hostile, []string{"status"}},
		{"rules of others", "neighbours/istio", hostile, []string{"spec"}},
		{"policies of others", "neighbours/kgateway", hostile, []string{"spec", "status"}},
		{"ours", "shop", hostile, []string{"spec", "status"}},
		{"our statuses", "shop", hostile + long, []string{"status"}},
		{"broken characters", "shop", "\xff\xc3\x28\x00\x1b[31m", []string{"status"}},
	} {
		t.Run(world.name, func(t *testing.T) {
			var s *clusterShop
			if implementation, others := strings.CutPrefix(world.fixture, "neighbours/"); others {
				s = newNeighbour(t, implementation)
			} else {
				s = newClusterShop(t)
			}
			s.poisonCluster(world.fixture, world.text, world.parts...)
			for verb, formats := range forms {
				for format := range strings.FieldsSeq(formats) {
					args := []string{verb, "-A", "-o", format, "--via", "direct", "--server", s.api.URL}
					if verb == "inspect" {
						args = append(args, "--probe")
					}
					_, stdout, stderr := s.run(args...)
					checkForm(t, args, format, stdout, stderr)
					if strings.TrimSpace(stdout) == "" {
						t.Errorf("%q prints nothing: %s", args, stderr)
					}
					if size := len(stdout) + len(stderr); size > 4<<20 {
						t.Errorf("%q prints %d bytes", args, size)
					}
				}
			}
		})
	}
}

// checkForm holds that nothing of what was printed drives a terminal, that no line
// is a stranger's own, and that JSON and YAML can be read back.
func checkForm(t *testing.T, args []string, format, text, stderr string) {
	t.Helper()
	if format == "yaml" {
		// It folds long words of others over lines, with blanks in front.
		checkTame(t, args, strings.ReplaceAll(text, "\n  ", " "), stderr)
	} else {
		checkTame(t, args, text, stderr)
	}
	var value any
	var err error
	switch format {
	case "json":
		err = json.Unmarshal([]byte(text), &value)
	case "yaml":
		err = yaml.Unmarshal([]byte(text), &value)
	default:
		return
	}
	if err != nil {
		t.Errorf("%q: %v", args, err)
	}
	if list, is := value.(map[string]any); !is || list["items"] == nil {
		t.Errorf("%q: no list: %.200s", args, text)
	}
}

// TestANACKInEnvoysWordsCannotDriveTheTerminal: Envoy quotes what it was sent.
func TestANACKInEnvoysWordsCannotDriveTheTerminal(t *testing.T) {
	s := newClusterShop(t)
	policy := s.api.Get("backendtlspolicies", "default", "api")
	status := policy.Object["status"].(map[string]any)
	for _, ancestor := range status["ancestors"].([]any) {
		for _, each := range ancestor.(map[string]any)["conditions"].([]any) {
			condition := each.(map[string]any)
			if condition["type"] == "Programmed" {
				condition["status"], condition["reason"] = "False", "Rejected"
				condition["message"] = "INVALID_ARGUMENT: Proto constraint validation failed " + hostile
			}
		}
	}
	s.api.SetStatus("backendtlspolicies", "default", "api", status)
	for format := range strings.FieldsSeq(forms["inspect"]) {
		args := []string{"inspect", "svc/api", "--no-probe", "-o", format, "--server", s.api.URL}
		_, stdout, stderr := s.run(args...)
		checkForm(t, args, format, stdout, stderr)
		if format == "table" && !strings.Contains(stdout, "Envoy rejects the configuration: INVALID_ARGUMENT") {
			t.Errorf("%q: %s", args, stdout)
		}
	}
}

// TestWhatAKubeconfigIsCalledCannotDriveTheTerminal: it is often somebody else's.
func TestWhatAKubeconfigIsCalledCannotDriveTheTerminal(t *testing.T) {
	s := newClusterShop(t)
	config, err := json.Marshal(map[string]any{
		"apiVersion": "v1", "kind": "Config", "current-context": hostile,
		"clusters": []any{map[string]any{"name": "c", "cluster": map[string]any{"server": "http://127.0.0.1:1"}}},
		"contexts": []any{map[string]any{"name": hostile, "context": map[string]any{"cluster": "c", "user": hostile}}},
		"users":    []any{map[string]any{"name": hostile, "user": map[string]any{}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "config")
	if err := os.WriteFile(path, config, 0o600); err != nil {
		t.Fatal(err)
	}
	for _, line := range []string{
		"inspect", "inspect svc/nope", "fetch svc/api", "verify -A", "pin svc/api --yes", "unpin svc/api --yes",
		"skip-verify on svc/api --for 1h --reason x --yes", "skip-verify off svc/api", "__complete inspect --context ",
	} {
		for _, server := range []string{"", s.api.URL} {
			args := append(strings.Split(line, " "), "--kubeconfig", path)
			if strings.HasPrefix(line, "__complete") {
				args = []string{"__complete", "--kubeconfig", path, "inspect", "--context", ""}
			} else if server != "" {
				args = append(args, "--server", server)
			}
			_, stdout, stderr := s.run(args...)
			checkTame(t, args, strings.ReplaceAll(stdout, "\t", " "), stderr)
		}
	}
}

// monster is an endpoint's answer that is as large as TLS lets it be.
type monster struct {
	name  string
	chain [][]byte
	key   crypto.PrivateKey
}

// lying is a key that nobody has: it signs nonsense.
type lying struct{ public crypto.PublicKey }

func (l lying) Public() crypto.PublicKey { return l.public }

func (l lying) Sign(io.Reader, []byte, crypto.SignerOpts) ([]byte, error) {
	return make([]byte, 2048), nil
}

func monsters(t *testing.T) []monster {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	issue := func(name string, public crypto.PublicKey, change func(*x509.Certificate)) []byte {
		template := &x509.Certificate{
			SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: name}, IsCA: true, BasicConstraintsValid: true,
			NotBefore: now.AddDate(-1, 0, 0), NotAfter: now.AddDate(1, 0, 0),
		}
		if change != nil {
			change(template)
		}
		der, err := x509.CreateCertificate(rand.Reader, template, template, public, key)
		if err != nil {
			t.Fatal(err)
		}
		return der
	}
	many := issue("many", key.Public(), func(c *x509.Certificate) {
		for i := range 10_000 {
			c.DNSNames = append(c.DNSNames, fmt.Sprintf("n%d.example", i))
		}
	})
	long := [][]byte{issue("leaf", key.Public(), nil)}
	for i := range 99 {
		long = append(long, issue(fmt.Sprintf("link %d", i), key.Public(), nil))
	}
	modulus, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 16384))
	if err != nil {
		t.Fatal(err)
	}
	modulus.SetBit(modulus, 16383, 1).SetBit(modulus, 0, 1)
	huge := &rsa.PublicKey{N: modulus, E: 65537}
	wordy := issue(strings.Repeat("w", 60_000), key.Public(), nil)
	return []monster{
		{"10,000 names", [][]byte{many}, key},
		{"100 certificates", long, key},
		{"a key of 16384 bits further up", [][]byte{long[0], issue("huge", huge, nil)}, key},
		{"a key of 16384 bits", [][]byte{issue("huge", huge, nil)}, lying{huge}},
		{"a subject of 60,000 letters", [][]byte{wordy}, key},
		{"no certificate", [][]byte{[]byte(hostile)}, key},
	}
}

// TestMonstersAreShownInBoundedTextAndTime holds for every verb and form, and for
// the verbs that would pin what they are shown.
func TestMonstersAreShownInBoundedTextAndTime(t *testing.T) {
	const (
		readable = 32 << 10 // what a person is shown at most
		document = 2 << 20  // what a program is given: the chain is at most 256 KB
		patience = 2 * time.Minute
	)
	for _, monster := range monsters(t) {
		t.Run(monster.name, func(t *testing.T) {
			b := newBench(t, "shop")
			b.serve(tls.Certificate{Certificate: monster.chain, PrivateKey: monster.key}, "10.0.15.1:8443")
			began := time.Now()
			for verb, formats := range forms {
				for format := range strings.FieldsSeq(formats) {
					args := []string{verb, "svc/good", "-o", format, "-f", "shop"}
					_, stdout, stderr := b.run(args...)
					checkForm(t, args, format, stdout, stderr)
					most := readable
					if format != "table" {
						most = document
					}
					if len(stdout)+len(stderr) > most {
						t.Errorf("%q prints %d bytes", args, len(stdout)+len(stderr))
					}
				}
			}
			for _, line := range []string{
				"pin svc/good --replace", "pin svc/good --replace --form leaf", "pin svc/good --form ca",
			} {
				args := append(strings.Fields(line), "-f", "shop")
				_, stdout, stderr := b.run(args...)
				checkTame(t, args, stdout, stderr)
				if len(stderr) > readable {
					t.Errorf("%q says %d bytes", args, len(stderr))
				}
			}
			if took := time.Since(began); took > patience {
				t.Errorf("it takes %s", took)
			}
		})
	}
}

// FuzzWhatAStatusSays prints a policy whose status says anything, in every form.
func FuzzWhatAStatusSays(f *testing.F) {
	f.Add("Accepted", hostile)
	f.Add("\u202eAccepted", "\x9b31m")
	f.Add("ResolvedRefs", strings.Repeat("\u0301", 100))
	f.Fuzz(func(t *testing.T, kind, text string) {
		s := newNeighbour(t, "kgateway")
		policy := &unstructured.Unstructured{Object: s.api.Get("backendtlspolicies", "shop", "self").Object}
		s.api.SetStatus("backendtlspolicies", "shop", "self", map[string]any{"ancestors": []any{map[string]any{
			"ancestorRef":    map[string]any{"name": "kg", "namespace": "infra"},
			"controllerName": "kgateway.dev/kgateway",
			"conditions":     []any{condition(kind, "False", text, text, policy.GetGeneration())},
		}}})
		for format := range strings.FieldsSeq(forms["inspect"]) {
			args := []string{"inspect", "svc/self", "-n", "shop", "--no-probe", "-o", format, "--server", s.api.URL}
			_, stdout, stderr := s.run(args...)
			checkForm(t, args, format, stdout, stderr)
		}
	})
}
