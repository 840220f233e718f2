package watch

import (
	"io"
	"log/slog"
	"net/http"
	"testing"
	"testing/synctest"
	"time"
)

// roundTrips is a transport that is a function.
type roundTrips func(*http.Request) (*http.Response, error)

func (f roundTrips) RoundTrip(request *http.Request) (*http.Response, error) { return f(request) }

// Reflectors by themselves would wait longer and longer, up to a minute.
func TestAServerThatIsAwayIsAskedEverySecondOrSo(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		back, asked := time.Now().Add(10*time.Minute), 0
		p := &persistent{
			complaints: newJournal(slog.New(slog.DiscardHandler)), pause: time.Second,
			next: roundTrips(func(*http.Request) (*http.Response, error) {
				asked++
				if time.Now().Before(back) {
					return nil, io.EOF
				}
				return &http.Response{StatusCode: http.StatusOK, Body: http.NoBody}, nil
			}),
		}
		request, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "https://api.example.com/", nil)
		if err != nil {
			t.Fatal(err)
		}
		response, err := p.RoundTrip(request)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		if response.StatusCode != http.StatusOK {
			t.Errorf("answered %d", response.StatusCode)
		}
		if late := time.Since(back); late > 1500*time.Millisecond {
			t.Errorf("noticed %s after it was back", late)
		}
		if asked < 10*60*2/3 || asked > 10*60*2 {
			t.Errorf("asked %d times in ten minutes", asked)
		}
	})
}
