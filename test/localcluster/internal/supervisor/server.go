package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"sync"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
)

// socketFile is where the supervisor listens, below the cluster's directory.
const socketFile = "supervisor.sock"

// Server carries out what is asked of the supervisor.
type Server struct {
	processes []*process
}

// NewServer is a server for the parts of the plan; it starts none of them.
func NewServer(plan part.Plan) *Server {
	server := &Server{}
	for _, part := range plan.Parts() {
		server.processes = append(server.processes, &process{part: part})
	}
	return server
}

// Serve listens on the socket in the cluster's directory until the context is
// cancelled.
func (s *Server) Serve(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /parts", s.list)
	mux.HandleFunc("POST /parts/{name}/{action}", s.act)
	mux.HandleFunc("POST /images", load)
	listener, err := new(net.ListenConfig).Listen(ctx, "unix", home.Within(socketFile))
	if err != nil {
		return fmt.Errorf("listen for commands: %w", err)
	}
	if err := os.Chmod(home.Within(socketFile), 0o600); err != nil {
		return errors.Join(fmt.Errorf("listen for commands: %w", err), listener.Close())
	}
	server := &http.Server{Handler: mux, BaseContext: func(net.Listener) context.Context { return ctx }}
	stop := context.AfterFunc(ctx, func() { _ = server.Close() })
	defer stop()
	if err := server.Serve(listener); !errors.Is(err, http.ErrServerClosed) {
		return err
	}
	return nil
}

func (s *Server) list(w http.ResponseWriter, r *http.Request) {
	ctx := r.Context()
	statuses := make([]Status, len(s.processes))
	var wait sync.WaitGroup
	for i, process := range s.processes {
		wait.Go(func() { statuses[i] = process.checked(ctx) })
	}
	wait.Wait()
	w.Header().Set("Content-Type", "application/json")
	// Whoever asked has gone if this fails.
	_ = json.NewEncoder(w).Encode(statuses)
}

// Actions are what can be done to a part, and what each does.
func Actions() map[string]string {
	return map[string]string{
		"start":   "start it unless it runs, and wait until it works",
		"stop":    "ask it to end, and wait",
		"kill":    "end it at once, as kill -9",
		"restart": "stop and start",
		"freeze":  "let it hang: connections stay open, nobody answers",
		"thaw":    "let it go on",
	}
}

func (s *Server) act(w http.ResponseWriter, r *http.Request) {
	process := s.find(r.PathValue("name"))
	if process == nil {
		http.Error(w, "no such part", http.StatusNotFound)
		return
	}
	if err := process.act(r.Context(), r.PathValue("action")); err != nil {
		http.Error(w, err.Error(), http.StatusConflict)
	}
}

func (s *Server) find(name string) *process {
	for _, process := range s.processes {
		if process.part.Name == name {
			return process
		}
	}
	return nil
}

func (p *process) act(ctx context.Context, action string) error {
	switch action {
	case "restart":
		if err := p.stop(ctx); err != nil {
			return err
		}
		fallthrough
	case "start":
		if err := p.start(); err != nil {
			return err
		}
		return p.healthy(ctx)
	case "stop":
		return p.stop(ctx)
	case "kill":
		return p.kill()
	case "freeze":
		return p.freeze()
	case "thaw":
		return p.thaw()
	}
	return fmt.Errorf("%q is nothing that can be done to a part", action)
}

// load imports the images in the request's body, a tar file, into the node.
func load(w http.ResponseWriter, r *http.Request) {
	command := exec.CommandContext(r.Context(), home.Within("bin", "ctr"),
		"--namespace", "k8s.io", "images", "import", "--local", "-")
	command.Env = environment()
	command.Stdin = r.Body
	var output bytes.Buffer
	command.Stdout, command.Stderr = &output, &output
	if err := command.Run(); err != nil {
		http.Error(w, fmt.Sprintf("%v: %s", err, bytes.TrimSpace(output.Bytes())), http.StatusConflict)
	}
}
