package completion

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is a shell at a pseudo terminal.
type terminal struct {
	t      *testing.T
	person *os.File

	lock  sync.Mutex
	shown strings.Builder
	more  chan struct{}
}

// open starts a shell at a terminal of its own and ends it with the test.
func open(t *testing.T, env []string, name string, args ...string) *terminal {
	t.Helper()
	person, device := pair(t)
	term := &terminal{t: t, person: person, more: make(chan struct{}, 1)}
	cmd := exec.Command(name, args...)
	cmd.Env = env
	cmd.Dir = t.TempDir()
	cmd.Stdin, cmd.Stdout, cmd.Stderr = device, device, device
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if err := device.Close(); err != nil {
		t.Fatal(err)
	}
	var reading sync.WaitGroup
	reading.Go(term.read)
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = person.Close()
		reading.Wait()
	})
	return term
}

// pair opens a pseudo terminal.
func pair(t *testing.T) (person, device *os.File) {
	t.Helper()
	person, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	raw, err := person.SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	var number int
	var ioctl error
	err = raw.Control(func(fd uintptr) {
		number, ioctl = unix.IoctlGetInt(int(fd), unix.TIOCGPTN)
		ioctl = errors.Join(ioctl, unix.IoctlSetPointerInt(int(fd), unix.TIOCSPTLCK, 0),
			unix.IoctlSetWinsize(int(fd), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 200}))
	})
	if err := errors.Join(err, ioctl); err != nil {
		t.Fatal(err)
	}
	device, err = os.OpenFile(fmt.Sprintf("/dev/pts/%d", number), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	return person, device
}

// read collects what the shell shows until the terminal is gone.
func (term *terminal) read() {
	buffer := make([]byte, 4096)
	for {
		n, err := term.person.Read(buffer)
		term.lock.Lock()
		term.shown.Write(buffer[:n])
		term.lock.Unlock()
		select {
		case term.more <- struct{}{}:
		default:
		}
		if err != nil {
			return
		}
	}
}

// types types keys.
func (term *terminal) types(keys string) {
	term.t.Helper()
	if _, err := io.WriteString(term.person, keys); err != nil && !errors.Is(err, fs.ErrClosed) {
		term.t.Fatal(err)
	}
}

// shows waits until the text is shown, and returns what comes after it up to
// the end of its line.
func (term *terminal) shows(text string) string {
	term.t.Helper()
	for deadline := time.After(30 * time.Second); ; {
		term.lock.Lock()
		shown := term.shown.String()
		term.lock.Unlock()
		if _, after, found := strings.Cut(shown, text); found {
			if line, _, whole := strings.Cut(after, "\r\n"); whole {
				return line
			}
		}
		select {
		case <-term.more:
		case <-deadline:
			term.t.Fatalf("the shell does not show %q, but\n%q", text, shown)
		}
	}
}
