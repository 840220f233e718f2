package command

import (
	"fmt"
	"sync"
	"time"

	"k8s.io/cli-runtime/pkg/printers"
)

// patience is how long nothing is said about what takes its time.
const patience = time.Second

// progress is a line on stderr, if that is a terminal, about what takes longer
// than patience.
type progress struct {
	o     *Options
	what  string
	begin time.Time

	lock  sync.Mutex
	shown bool
}

// reading starts one about the text.
func (o *Options) reading(what string) *progress {
	if !printers.IsTerminal(o.ErrOut) {
		return &progress{}
	}
	return &progress{o: o, what: what, begin: time.Now()}
}

// show says how far it has come.
func (p *progress) show(how string) {
	if p.o == nil || time.Since(p.begin) < patience {
		return
	}
	p.lock.Lock()
	defer p.lock.Unlock()
	p.shown = true
	fmt.Fprintf(p.o.ErrOut, "\r\x1b[K%s: %s", p.what, how)
}

// done takes the line away.
func (p *progress) done() {
	p.lock.Lock()
	defer p.lock.Unlock()
	if p.shown {
		fmt.Fprint(p.o.ErrOut, "\r\x1b[K")
		p.shown = false
	}
}
