package main

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	gatewayv1 "sigs.k8s.io/gateway-api/apis/v1"
	"sigs.k8s.io/yaml"
)

// ready waits until the operator has reported the policy programmed, or has
// ended.
func (o *operator) ready(ctx context.Context, w *world) error {
	bounded, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		if programmed, err := w.programmed(); err == nil && programmed {
			return nil
		}
		select {
		case err := <-o.ended:
			o.ended <- err
			return fmt.Errorf("the operator ended at its start: %w", errors.Join(err))
		case <-bounded.Done():
			return errors.New("the operator reports nothing after 30 seconds")
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// programmed reads the status that the operator wrote for the policy: whether
// Envoy has acknowledged it.
func (w *world) programmed() (bool, error) {
	content, err := os.ReadFile(filepath.Join(w.dir, ".backendtls", "status", "BackendTLSPolicy.default.api.yaml"))
	if err != nil {
		return false, err
	}
	var file struct {
		Generation int64                  `json:"generation"`
		Status     gatewayv1.PolicyStatus `json:"status"`
	}
	if err := yaml.Unmarshal(content, &file); err != nil {
		return false, err
	}
	for _, ancestor := range file.Status.Ancestors {
		for _, condition := range ancestor.Conditions {
			if condition.Type == "Programmed" {
				return condition.Status == metav1.ConditionTrue &&
					condition.ObservedGeneration == file.Generation, nil
			}
		}
	}
	return false, nil
}

// request is what a client of the Gateway gets, 0 for no answer.
func (w *world) request(ctx context.Context) int {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+w.gateway.String()+"/", http.NoBody)
	if err != nil {
		return 0
	}
	transport := &http.Transport{DisableKeepAlives: true}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return 0
	}
	_ = response.Body.Close()
	return response.StatusCode
}

// digest covers every manifest, to see that a refused command changed none.
func (w *world) digest() (string, error) {
	hash := sha256.New()
	dir := os.DirFS(w.dir)
	err := fs.WalkDir(dir, ".", func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if strings.HasPrefix(entry.Name(), ".") && path != "." {
			if entry.IsDir() {
				return fs.SkipDir
			}
			return nil
		}
		if entry.IsDir() {
			return nil
		}
		content, err := fs.ReadFile(dir, path)
		if err != nil {
			return err
		}
		fmt.Fprintf(hash, "%s %d %s", path, len(content), content)
		return nil
	})
	return hex.EncodeToString(hash.Sum(nil)), err
}
