package leak

import (
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestAGoroutineThatEndsLateIsWaitedFor(t *testing.T) {
	before, end := goleak.IgnoreCurrent(), make(chan struct{})
	go func() { <-end }()
	time.AfterFunc(2*time.Second, func() { close(end) })
	if err := left(time.Minute, before); err != nil {
		t.Error(err)
	}
}

func TestAGoroutineThatStaysIsNamed(t *testing.T) {
	before, end := goleak.IgnoreCurrent(), make(chan struct{})
	defer close(end)
	go stay(end)
	if err := left(time.Millisecond, before); err == nil || !strings.Contains(err.Error(), "leak.stay") {
		t.Errorf("got %v", err)
	}
}

func stay(end <-chan struct{}) { <-end }

func TestWatchIsPassedWhereNothingIsLeft(t *testing.T) {
	Watch(t)
	done := make(chan struct{})
	go close(done)
	<-done
}
