package xds

import (
	"bytes"
	"testing"

	discoveryv3 "github.com/envoyproxy/go-control-plane/envoy/service/discovery/v3"
	rpcstatus "google.golang.org/genproto/googleapis/rpc/status"
	"google.golang.org/protobuf/proto"

	"github.com/backendtls/backendtls/internal/gwapi"
)

// FuzzStream lets a client say anything, in any order, while publications and
// endpoints come: nothing panics, nothing is sent forever, and whatever was
// sent of clusters and not removed is held.
func FuzzStream(f *testing.F) {
	f.Add([]byte("\x00\x01\x00a\x05\x00b\x06\x02\x03\x07\x08\x09\x02"))
	f.Add([]byte("\x00*\x20\x00a\x40*\x60\x05\x06\x02\x02\x0e\x0e\x12\x21\x22"))
	encoded, err := proto.Marshal(&discoveryv3.DeltaDiscoveryRequest{
		TypeUrl: clusters.typeURL(), ResourceNamesSubscribe: []string{"*", "a"},
		InitialResourceVersions: map[string]string{"a": "x", "b": ""},
	})
	if err != nil {
		f.Fatal(err)
	}
	f.Add(append([]byte{0xff, byte(len(encoded))}, encoded...))
	f.Fuzz(func(t *testing.T, script []byte) {
		s, d := newDirect(t)
		player := &fuzzPlayer{server: s, direct: d}
		reader := bytes.NewReader(script)
		for {
			op, err := reader.ReadByte()
			if err != nil {
				break
			}
			player.play(op, reader)
		}
		player.drain(t)
	})
}

// fuzzPlayer turns bytes into what a client and an operator do.
type fuzzPlayer struct {
	server *Server
	direct
	nonces [kinds][]string
}

var fuzzNames = []string{"*", "a", "b", "c", "http/8080", ""}

func (p *fuzzPlayer) play(op byte, reader *bytes.Reader) {
	argument, _ := reader.ReadByte()
	k := kind(op>>2) % kinds
	name := fuzzNames[int(argument)%len(fuzzNames)]
	request := &discoveryv3.DeltaDiscoveryRequest{TypeUrl: k.typeURL()}
	switch {
	case op == 0xff:
		raw := make([]byte, argument)
		n, _ := reader.Read(raw)
		if proto.Unmarshal(raw[:n], request) != nil {
			return
		}
	case op&3 == 0:
		request.ResourceNamesSubscribe = []string{name}
		request.InitialResourceVersions = map[string]string{name: "v", "b": ""}
	case op&3 == 1:
		request.ResourceNamesUnsubscribe = []string{name}
	case op&3 == 2:
		p.answer(k, argument, request)
	default:
		p.operate(argument, name)
		return
	}
	_ = p.handle(request)
	if response, _ := p.next(); response != nil {
		k, _ := kindOf(response.GetTypeUrl())
		p.nonces[k] = append(p.nonces[k], response.GetNonce())
	}
}

// answer acknowledges or refuses one of the outstanding responses.
func (p *fuzzPlayer) answer(k kind, argument byte, request *discoveryv3.DeltaDiscoveryRequest) {
	if len(p.nonces[k]) == 0 {
		request.ResponseNonce = string(argument)
		return
	}
	at := int(argument>>1) % len(p.nonces[k])
	request.ResponseNonce = p.nonces[k][at]
	if argument&1 == 1 {
		request.ErrorDetail = &rpcstatus.Status{Message: "bad " + fuzzNames[int(argument)%len(fuzzNames)]}
	}
}

// operate does something on the operator's side, one phase at a time and
// without its waits.
func (p *fuzzPlayer) operate(argument byte, name string) {
	g := p.gateway
	var world Publication
	switch argument % 4 {
	case 0:
		world = serving(map[gwapi.Key]string{policy: name}, "a", "b")
	case 1:
		world = serving(map[gwapi.Key]string{policy: name}, "b", "c")
	case 2:
		p.server.SetEndpoints(web, assignment(name, uint32(argument)+1))
		return
	default:
		p.server.Withdraw(web, func(cluster string) bool { return cluster == name })
		return
	}
	g.mu.Lock()
	g.asked++
	j := &job{number: g.asked, publication: world}
	g.mu.Unlock()
	plan := newPlan(j, g.epoch)
	g.addClusters(plan)
	if argument&0x80 == 0 {
		g.moveTraffic(plan)
		g.removeClusters(plan)
		g.removeEndpoints(plan)
	}
}

// drain takes and acknowledges everything: it must end, with the Envoy
// holding what is served and nothing else, unless it asked for less.
func (p *fuzzPlayer) drain(t *testing.T) {
	p.past = true
	for range 10_000 {
		response, _ := p.next()
		if response == nil {
			break
		}
		_ = p.handle(&discoveryv3.DeltaDiscoveryRequest{
			TypeUrl: response.GetTypeUrl(), ResponseNonce: response.GetNonce(),
		})
	}
	if response, _ := p.next(); response != nil {
		s := p.subscriptions[clusters]
		if s == nil || len(s.unanswered) < window {
			t.Fatal("responses without an end")
		}
	}
	if s := p.subscriptions[clusters]; s != nil && s.wildcard {
		for name := range s.known {
			if _, held := p.record.held[name]; !held {
				t.Errorf("the client has %q, which is not held", name)
			}
		}
	}
}
