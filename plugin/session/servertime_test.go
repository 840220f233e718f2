package session

import (
	"net"
	"strings"
	"testing"

	"k8s.io/client-go/rest"
)

// mute is a cluster whose API server takes connections and says nothing.
type mute struct {
	Cluster
	host string
}

func (m mute) RESTConfig() (*rest.Config, error) { return &rest.Config{Host: m.host}, nil }

func TestAnAPIServerThatDoesNotSayWhatTimeItIsIsNotWaitedFor(t *testing.T) {
	t.Parallel()
	listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	_, err = serverTime(t.Context(), mute{host: "http://" + listener.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), "nothing was written: the API server did not say within 10s") {
		t.Errorf("the error is %v", err)
	}
}
