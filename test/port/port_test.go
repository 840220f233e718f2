package port_test

import (
	"fmt"
	"net"
	"sync"
	"testing"

	"github.com/backendtls/backendtls/test/port"
)

func TestNoTwoGetTheSamePort(t *testing.T) {
	var mu sync.Mutex
	given := map[uint16]bool{}
	var asking sync.WaitGroup
	for range 8 {
		asking.Go(func() {
			for range 50 {
				got := port.Free(t)
				mu.Lock()
				if given[got] {
					t.Errorf("%d was given twice", got)
				}
				given[got] = true
				mu.Unlock()
			}
		})
	}
	asking.Wait()
}

func TestAFreePortCanBeListenedOnAgainAndAgain(t *testing.T) {
	free := port.Free(t)
	for _, host := range []string{"127.0.0.1", "127.0.0.2", ""} {
		for range 2 {
			listener, err := new(net.ListenConfig).Listen(t.Context(), "tcp", fmt.Sprintf("%s:%d", host, free))
			if err != nil {
				t.Fatal(err)
			}
			if err := listener.Close(); err != nil {
				t.Fatal(err)
			}
		}
	}
}
