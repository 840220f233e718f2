package process_test

import (
	"fmt"
	"net"
	"net/http"
	"os"
	"os/signal"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/backendtls/backendtls/test/leak"
)

// TestMain makes the test binary stand in for Envoy, and for an operator that
// is to be killed.
func TestMain(m *testing.M) {
	switch {
	case slices.Contains(os.Args, "--disable-hot-restart"):
		fakeEnvoy(os.Getenv("FAKE"))
	case os.Getenv("ROLE") == "operator":
		doomedOperator()
	default:
		leak.Main(m)
	}
}

// fakeEnvoy behaves as told. Its working directory is the Gateway's.
func fakeEnvoy(behaviour string) {
	if path := os.Getenv("STARTS"); path != "" {
		appendLine(path, time.Now().Format(time.RFC3339Nano))
	}
	stop := make(chan os.Signal, 1)
	switch behaviour {
	case "crash":
		fmt.Fprintln(os.Stderr, "error while loading shared libraries: libfake.so")
		os.Exit(3)
	case "talk":
		fmt.Println(`{"code":200}`)
		fmt.Println(strings.Repeat("x", 3<<20))
		fmt.Println(`{"code":503}`)
		fmt.Fprintln(os.Stderr, `{"level":"critical","logger":"main","message":"too \"bad\""}`)
		fmt.Fprintln(os.Stderr, `{"level":"info","logger":"upstream","message":"fine"}`)
		fmt.Fprintln(os.Stderr, "assert failure: not JSON")
		fmt.Fprint(os.Stderr, "no line break")
		os.Exit(0)
	case "stubborn":
		signal.Ignore(syscall.SIGTERM)
	case "serve":
		signal.Notify(stop, syscall.SIGTERM)
	}
	fakeAdmin()
	<-stop
}

// fakeAdmin answers on admin.sock. A file "busy" next to it is a request in
// flight; what is asked for is noted in the file named by ADMIN.
func fakeAdmin() {
	listener, err := net.Listen("unix", "admin.sock")
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(4)
	}
	handler := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if path := os.Getenv("ADMIN"); path != "" && r.Method == http.MethodPost {
			appendLine(path, r.URL.Path)
		}
		if r.URL.Path != "/stats" {
			return
		}
		active := 0
		if _, err := os.Stat("busy"); err == nil {
			active = 1
		}
		fmt.Fprintf(w, "http.admin.downstream_rq_active: 1\nhttp.in.downstream_rq_active: %d\n"+
			"listener.127.0.0.1_80.downstream_cx_active: %d\nlistener.admin.downstream_cx_active: 1\n", active, active)
	})
	server := &http.Server{Handler: handler, ReadHeaderTimeout: time.Second}
	go func() { _ = server.Serve(listener) }()
}

func appendLine(path, line string) {
	file, err := os.OpenFile(path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(5)
	}
	fmt.Fprintln(file, line)
	_ = file.Close()
}

// readLines are the lines of a file that may not be there.
func readLines(path string) []string {
	content, err := os.ReadFile(path)
	if err != nil {
		return nil
	}
	return strings.Split(strings.TrimSpace(string(content)), "\n")
}
