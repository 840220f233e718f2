package tunnel

import (
	"context"
	"net/netip"
	"sync"

	"github.com/backendtls/backendtls/internal/model"
)

// Limit is how many endpoints are asked at once.
const Limit = 8

// Prober makes one handshake; tlsprobe.Prober is one.
type Prober interface {
	Probe(ctx context.Context, endpoint model.Endpoint, sni string) model.Observation
}

// Job is one handshake to make.
type Job struct {
	Endpoint model.Endpoint
	// SNI is the server name to send, "" for none.
	SNI string
}

// Question is what makes two jobs the same: an endpoint may serve another
// certificate for another server name, never for another Service.
type Question struct {
	Address netip.AddrPort
	SNI     string
}

// Question is what the job asks.
func (j Job) Question() Question { return Question{Address: j.Endpoint.Address, SNI: j.SNI} }

// Observations are the answers.
type Observations map[Question]model.Observation

// Fetch asks every endpoint once for each server name, Limit at once and
// without retries. Progress, if not nil, is told after each answer how many of
// how many are done; it is never called by two goroutines at once. An endpoint
// that does not answer is an Observation with a Fault. If ctx ends, Fetch
// returns its error and whatever was observed before.
func Fetch(ctx context.Context, prober Prober, jobs []Job, progress func(done, of int)) (Observations, error) {
	pending := distinct(jobs)
	total := len(pending)
	queue := make(chan Job, total)
	for _, job := range pending {
		queue <- job
	}
	close(queue)

	observed := make(Observations, total)
	var lock sync.Mutex
	var workers sync.WaitGroup
	for range min(Limit, total) {
		workers.Go(func() {
			for job := range queue {
				if ctx.Err() != nil {
					return
				}
				observation := prober.Probe(ctx, job.Endpoint, job.SNI)
				lock.Lock()
				if ctx.Err() == nil {
					observed[job.Question()] = observation
					if progress != nil {
						progress(len(observed), total)
					}
				}
				lock.Unlock()
			}
		})
	}
	workers.Wait()
	return observed, ctx.Err()
}

// distinct keeps the first job of each question, in order.
func distinct(jobs []Job) []Job {
	seen := make(map[Question]bool, len(jobs))
	var kept []Job
	for _, job := range jobs {
		if !seen[job.Question()] {
			seen[job.Question()] = true
			kept = append(kept, job)
		}
	}
	return kept
}
