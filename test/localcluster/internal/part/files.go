package part

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"os"
	"strings"
	"text/template"

	"golang.org/x/sys/unix"

	"github.com/backendtls/backendtls/test/localcluster/internal/home"
)

//go:embed files
var files embed.FS

// PauseImage is the image that holds a pod's namespaces open.
const PauseImage = "docker.io/backendtls/pause:local"

// values are what the configuration files are filled with.
type values struct {
	Plan
	Inside, NodeAddress, PodRange, PodsOfNode, PauseImage string
	// Snapshotter is how containerd keeps the layers of images apart.
	Snapshotter string
	// Restricted is set where this system lets nobody lower the score by which
	// the kernel chooses a victim when memory runs out.
	Restricted bool
}

// WriteFiles writes the configuration files of all parts, from inside the
// cluster. snapshotter is the one of containerd's that works here.
func (p Plan) WriteFiles(snapshotter string) error {
	h := home.Home{Dir: home.Inside}
	restricted, err := restricted()
	if err != nil {
		return err
	}
	filling := values{
		Plan: p, Inside: home.Inside, NodeAddress: p.Node().String(), PodRange: p.Pods().String(),
		PodsOfNode: p.PodsOf(0).String(), PauseImage: PauseImage, Snapshotter: snapshotter, Restricted: restricted,
	}
	templates, err := template.ParseFS(files, "files/*")
	if err != nil {
		return fmt.Errorf("configuration of the cluster: %w", err)
	}
	names, err := fs.Glob(files, "files/*")
	if err != nil {
		return fmt.Errorf("configuration of the cluster: %w", err)
	}
	for _, path := range names {
		name := strings.TrimPrefix(path, "files/")
		var content bytes.Buffer
		if err := templates.ExecuteTemplate(&content, name, filling); err != nil {
			return fmt.Errorf("configuration of the cluster: %w", err)
		}
		if err := h.Write("config/"+name, content.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// restricted says whether this process lacks CAP_SYS_RESOURCE.
func restricted() (bool, error) {
	header := unix.CapUserHeader{Version: unix.LINUX_CAPABILITY_VERSION_3, Pid: int32(os.Getpid())}
	var data [2]unix.CapUserData
	if err := unix.Capget(&header, &data[0]); err != nil {
		return false, fmt.Errorf("capabilities of this process: %w", err)
	}
	return data[0].Effective&(1<<unix.CAP_SYS_RESOURCE) == 0, nil
}
