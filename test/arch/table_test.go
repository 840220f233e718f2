package arch_test

// module is the path that everything of ours begins with.
const module = "github.com/backendtls/backendtls/"

// Prefixes of what several rooms may import.
const (
	gatewayAPI = "sigs.k8s.io/gateway-api/apis/"
	machinery  = "k8s.io/apimachinery/pkg/"
	kinds      = "k8s.io/api/"
)

// table says what each room of the core may import besides the standard
// library; a value that ends in a slash is a prefix. A room that is not here
// fails the test: whoever adds one decides what it may know.
var table = map[string][]string{
	"internal/pin":      {},
	"internal/gwapi":    {gatewayAPI, machinery},
	"internal/api":      {machinery, "k8s.io/api/core/v1"},
	"internal/model":    ours("gwapi", "pin"),
	"internal/report":   append(ours("gwapi"), machinery, gatewayAPI),
	"internal/snapshot": append(ours("gwapi", "pin", "model", "api"), kinds, machinery, gatewayAPI),
	"internal/verify":   ours("model", "pin"),
	"internal/tlsprobe": ours("model", "pin"),
	"internal/resolve": append(ours("snapshot", "model", "report", "verify", "gwapi", "pin", "api"),
		kinds, machinery, gatewayAPI),
	"internal/envoy": append(ours("model", "pin", "gwapi"),
		"github.com/envoyproxy/go-control-plane/envoy/", "github.com/cncf/xds/go/", "google.golang.org/protobuf/"),
	"internal/manifest": append(ours("snapshot", "model", "report", "gwapi", "api", "manifest"),
		kinds, machinery, gatewayAPI, "k8s.io/apiextensions-apiserver/pkg/", "k8s.io/apiserver/pkg/cel/",
		"golang.org/x/crypto/x509roots/", "sigs.k8s.io/kustomize/kyaml/", "sigs.k8s.io/structured-merge-diff/",
		"sigs.k8s.io/yaml"),
}

// std is what no room of the core imports of the standard library: it does not
// log, serve, start anything or leave anything to chance. Reached through
// Kubernetes' types they are: apimachinery's metav1 imports net/http.
var std = []string{
	"log", "log/slog", "net/http", "net/rpc", "os/exec", "math/rand", "math/rand/v2", "plugin", "testing",
}

// onlyThere names what a single room of the core imports.
var onlyThere = map[string][]string{
	"os":     {"internal/manifest"},
	"net":    {"internal/tlsprobe"},
	"embed":  {"internal/manifest"},
	"unsafe": {},
}

// unreachable is what the core does not reach in any number of steps: a client,
// a server, a controller, a file watch, and either shell.
var unreachable = []string{
	"k8s.io/client-go/",
	"k8s.io/cli-runtime/",
	"k8s.io/kubectl/",
	"sigs.k8s.io/controller-runtime/",
	"google.golang.org/grpc/",
	"github.com/envoyproxy/go-control-plane/pkg/",
	"github.com/fsnotify/fsnotify/",
	module + "operator/",
	module + "plugin/",
	module + "cmd/",
	module + "test/",
}

// ours are rooms of the core.
func ours(rooms ...string) []string {
	paths := make([]string, len(rooms))
	for i, room := range rooms {
		paths[i] = module + "internal/" + room + "/"
	}
	return paths
}
