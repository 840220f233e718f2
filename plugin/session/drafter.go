package session

import (
	"context"
	"fmt"

	"github.com/backendtls/backendtls/plugin/assess"
	"github.com/backendtls/backendtls/plugin/collect"
	"github.com/backendtls/backendtls/plugin/tunnel"
)

// Drafter drafts changes of one World. A verb makes one of what it has read; a
// Session makes one for every draft, of what it reads for it.
type Drafter struct {
	World *collect.World
	// Namespace is the one that targets are in.
	Namespace string
	// Program is how people call this program.
	Program string
	// Cluster is where the World was read; unused for files.
	Cluster Cluster
	// Ask asks every endpoint of the ports for its certificates. The server name is
	// what to send, "" for ServerName's.
	Ask func(ctx context.Context, ports []collect.Port, serverName string) (Asked, error)
	// Local says that the API server is not asked what it would make of a change,
	// nor may the change be made.
	Local bool
}

// Asked is what endpoints answered.
type Asked struct {
	// Ports have the endpoints that were asked.
	Ports []collect.Port
	// ServerName is what was sent to the endpoints of a port.
	ServerName func(collect.Port) string
	// Via is how they were reached: ViaDirect or ViaPortForward.
	Via          string
	Observations tunnel.Observations
}

// assessor judges what was answered.
func (d *Drafter) assessor(asked *Asked) *assess.Assessor {
	return &assess.Assessor{
		World: d.World, Observations: asked.Observations, ServerName: asked.ServerName,
		Program: d.Program, Source: d.source(), Local: asked.Via == ViaPortForward,
	}
}

// source is what to type to read the same World.
func (d *Drafter) source() string {
	if d.World.Live() {
		return d.Cluster.Arguments()
	}
	return "-f " + Quoted(d.World.Source)
}

// service is svc/NAME:PORT as messages name it.
func service(port collect.Port) string {
	return fmt.Sprintf("svc/%s:%d", port.Service.Name, port.Spec.Port)
}

// endpoints counts them in words.
func endpoints(n int) string {
	if n == 1 {
		return "1 endpoint"
	}
	return fmt.Sprintf("%d endpoints", n)
}
