package cluster

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/backendtls/backendtls/test/localcluster/internal/image"
	"github.com/backendtls/backendtls/test/localcluster/internal/part"
	"github.com/backendtls/backendtls/test/localcluster/internal/supervisor"
)

// loadedFile remembers which tar files were loaded, by their sums.
const loadedFile = "images.json"

// Load puts the images of tar files into the node, except those that it has.
func (c *Cluster) Load(ctx context.Context, files []string) error {
	// Locking would make a directory for a cluster that is not there.
	if _, err := c.Status(ctx); err != nil {
		return err
	}
	unlock, err := c.lock()
	if err != nil {
		return err
	}
	defer unlock()
	loaded, err := c.loaded()
	if err != nil {
		return err
	}
	for _, file := range files {
		sum, err := sumOf(file)
		if err != nil {
			return fmt.Errorf("images: %w", err)
		}
		name := filepath.Base(file)
		if loaded[name] == sum {
			c.say("%s is loaded already", name)
			continue
		}
		if err := c.load(ctx, file); err != nil {
			return fmt.Errorf("load the images of %s: %w", file, err)
		}
		loaded[name] = sum
		content, err := json.Marshal(loaded)
		if err != nil {
			return err
		}
		if err := c.home.Write(loadedFile, content, 0o644); err != nil {
			return err
		}
		c.say("%s is loaded", name)
	}
	return nil
}

func (c *Cluster) load(ctx context.Context, file string) error {
	content, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = content.Close() }()
	err = c.client.Load(ctx, content)
	if errors.Is(err, supervisor.ErrAbsent) {
		return c.absent()
	}
	return err
}

func (c *Cluster) loaded() (map[string]string, error) {
	loaded := map[string]string{}
	content, err := os.ReadFile(c.home.Path(loadedFile))
	if errors.Is(err, fs.ErrNotExist) {
		return loaded, nil
	}
	if err != nil {
		return nil, err
	}
	if err := json.Unmarshal(content, &loaded); err != nil {
		return nil, fmt.Errorf("%s: %w", c.home.Path(loadedFile), err)
	}
	return loaded, nil
}

func sumOf(name string) (string, error) {
	file, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer func() { _ = file.Close() }()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return "", err
	}
	return hex.EncodeToString(hash.Sum(nil)), nil
}

// loadPause makes and loads the image that every pod needs.
func (c *Cluster) loadPause(ctx context.Context) error {
	spec := image.Spec{
		Name:       part.PauseImage,
		Entrypoint: []string{"/pause"},
		User:       "65535",
		Files:      map[string]string{"/pause": filepath.Join(c.home.Bin(), "pause")},
	}
	file := c.home.Path("pause.tar")
	if _, err := spec.Write(file); err != nil {
		return err
	}
	return c.load(ctx, file)
}
