package release

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sigs.k8s.io/yaml"
)

// k9sPlugin is a plugin of k9s, with the fields that its schema knows
// (k9s: internal/config/json/schemas/plugins.json) and that we use.
type k9sPlugin struct {
	ShortCut    string   `json:"shortCut"`
	Description string   `json:"description"`
	Scopes      []string `json:"scopes"`
	Command     string   `json:"command"`
	Background  bool     `json:"background"`
	Args        []string `json:"args"`
}

func k9sPlugins(t *testing.T) map[string]k9sPlugin {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(root, "docs", "k9s-plugin.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Plugins map[string]k9sPlugin `json:"plugins"`
	}
	if err := yaml.UnmarshalStrict(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Plugins
}

// k9sArguments are what k9s gives to kubectl when the key is pressed on an
// object. k9s replaces variables, the longest first (internal/view/env.go); a
// scope is the plural of a kind.
func k9sArguments(t *testing.T, kind, name string) []string {
	t.Helper()
	group := "gateway.networking.k8s.io"
	if kind == "services" {
		group = ""
	}
	fill := strings.NewReplacer("$RESOURCE_GROUP", group, "$RESOURCE_NAME", kind,
		"$NAMESPACE", "default", "$CONTEXT", "", "$NAME", name)
	var found [][]string
	for _, p := range k9sPlugins(t) {
		if !slices.Contains(p.Scopes, kind) {
			continue
		}
		var args []string
		for _, arg := range p.Args {
			args = append(args, fill.Replace(arg))
		}
		found = append(found, args)
	}
	if len(found) != 1 {
		t.Fatalf("%d plugins are for %s, want one", len(found), kind)
	}
	return found[0]
}

func TestThePluginForK9sIsWhatItsSchemaWants(t *testing.T) {
	plugins := k9sPlugins(t)
	if len(plugins) == 0 {
		t.Fatal("there is none")
	}
	keys := map[string]string{}
	for name, p := range plugins {
		if p.ShortCut == "" || p.Description == "" || len(p.Scopes) == 0 || p.Command != "kubectl" || p.Background {
			t.Errorf("%s is %+v: want a key, a description, scopes and kubectl in the foreground", name, p)
		}
		if len(p.Args) < 2 || p.Args[0] != "backendtls" || p.Args[1] != "inspect" {
			t.Errorf("%s runs %q, want backendtls inspect", name, p.Args)
		}
		for _, scope := range p.Scopes {
			if other := keys[scope+p.ShortCut]; other != "" {
				t.Errorf("%s and %s want the same key on %s", name, other, scope)
			}
			keys[scope+p.ShortCut] = name
		}
	}
}
