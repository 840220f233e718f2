package files

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/backendtls/backendtls/internal/manifest"
)

// glance is a tree whose time is in the hands of the test.
type glance struct {
	*tree
	t   *testing.T
	dir string
	now time.Time
}

// after lets time pass and looks.
func (g *glance) after(passed time.Duration) verdict {
	g.t.Helper()
	g.now = g.now.Add(passed)
	listing, err := manifest.List(g.dir)
	if err != nil {
		g.t.Fatal(err)
	}
	return g.look(listing, g.now, usualPace)
}

func (g *glance) objects() int {
	n := 0
	for _, file := range g.parsed() {
		n += len(file.Objects)
	}
	return n
}

func (g *glance) write(name, object string) {
	g.t.Helper()
	content := "apiVersion: v1\nkind: Namespace\nmetadata: {name: " + object + "}\n"
	if err := os.WriteFile(filepath.Join(g.dir, name), []byte(content), 0o600); err != nil {
		g.t.Fatal(err)
	}
}

func (g *glance) remove(name string) {
	g.t.Helper()
	if err := os.Remove(filepath.Join(g.dir, name)); err != nil {
		g.t.Fatal(err)
	}
}

func newGlance(t *testing.T) *glance {
	t.Helper()
	g := &glance{tree: newTree(), t: t, dir: t.TempDir(), now: time.Now()}
	g.write("a.yaml", "a")
	g.write("b.yaml", "b")
	if v := g.after(time.Second); !v.changed || v.wait != 0 || g.objects() != 2 {
		t.Fatalf("at the start: %+v with %d objects; old files need not settle", v, g.objects())
	}
	return g
}

func TestAFileThatVanishesForAMomentWasNeverGone(t *testing.T) {
	g := newGlance(t)
	g.remove("a.yaml")
	for range 4 {
		if v := g.after(usualPace.settle / 5); v.changed || g.objects() != 2 {
			t.Fatalf("%+v with %d objects before it has settled", v, g.objects())
		}
	}
	g.write("a.yaml", "a")
	g.after(usualPace.settle / 5)
	if v := g.after(usualPace.settle); !v.changed || g.objects() != 2 {
		t.Fatalf("%+v with %d objects", v, g.objects())
	}
	g.remove("a.yaml")
	g.after(usualPace.look)
	if v := g.after(usualPace.settle); !v.changed || g.objects() != 1 {
		t.Fatalf("%+v with %d objects after it has settled", v, g.objects())
	}
}

func TestWhatChangesTogetherIsReadTogether(t *testing.T) {
	g := newGlance(t)
	g.write("a.yaml", "c")
	g.after(usualPace.look)
	g.write("b.yaml", "d")
	if v := g.after(usualPace.settle); v.changed {
		t.Fatal("a was read although b had not settled")
	}
	if v := g.after(usualPace.settle); !v.changed || v.wait != 0 {
		t.Fatalf("%+v when both have settled", v)
	}
}

func TestAFileThatNeverRestsHoldsUpNoOther(t *testing.T) {
	g := newGlance(t)
	g.remove("b.yaml")
	g.write("c.yaml", "c")
	g.write("d.yaml", "d")
	step := usualPace.settle / 2
	var elapsed time.Duration
	for i := 0; g.objects() != 3; i++ {
		g.write("a.yaml", "a"+string(rune('a'+i%26)))
		g.after(step)
		if elapsed += step; elapsed > usualPace.batch+2*usualPace.settle {
			t.Fatalf("%d objects after %s", g.objects(), elapsed)
		}
	}
	if elapsed < usualPace.settle {
		t.Errorf("read after %s, before anything could settle", elapsed)
	}
	// It is read too, in the end, because no writer has it open between.
	for i := 0; ; i++ {
		before := g.tracked[filepath.Join(g.dir, "a.yaml")].parsed.Objects[0].Key.Name
		g.write("a.yaml", "b"+string(rune('a'+i%26)))
		g.after(step)
		if g.tracked[filepath.Join(g.dir, "a.yaml")].parsed.Objects[0].Key.Name != before {
			break
		}
		if elapsed += step; elapsed > 2*usualPace.writing {
			t.Fatal("never read")
		}
	}
	if elapsed < usualPace.writing {
		t.Errorf("read after %s although it never rested", elapsed)
	}
}

func TestAFileUnderAnUnreadableDirectoryStays(t *testing.T) {
	g := newGlance(t)
	listing, err := manifest.List(g.dir)
	if err != nil {
		t.Fatal(err)
	}
	listing.Files = nil
	listing.Unreadable = []manifest.Unreadable{{Path: g.dir, Err: os.ErrPermission}}
	for range 3 {
		g.now = g.now.Add(time.Second)
		g.look(listing, g.now, usualPace)
	}
	if g.objects() != 2 || len(g.problems()) != 1 {
		t.Errorf("%d objects, problems %v", g.objects(), g.problems())
	}
}
