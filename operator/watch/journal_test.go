package watch

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

func TestTheSameTroubleIsMentionedRarely(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var text bytes.Buffer
		j := newJournal(slog.New(slog.NewTextHandler(&text, nil)))
		said := func() int { return strings.Count(text.String(), "trouble") }
		for range 10 {
			j.warn("one", "trouble")
			time.Sleep(again / 20)
		}
		if said() != 1 {
			t.Errorf("in a short time %d times", said())
		}
		j.err("two", "trouble")
		if said() != 2 {
			t.Errorf("other trouble: %d times", said())
		}
		time.Sleep(again)
		j.warn("one", "trouble")
		if said() != 3 {
			t.Errorf("after some time %d times", said())
		}
		j.over("one")
		j.warn("one", "trouble")
		if said() != 4 {
			t.Errorf("after it was over %d times", said())
		}
	})
}
