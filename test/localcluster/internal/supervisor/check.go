package supervisor

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/backendtls/backendtls/test/localcluster/internal/part"
)

// check asks the part once whether it works.
func (p *process) check(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Second)
	defer cancel()
	probe := p.part.Probe
	if probe.Socket != "" {
		connection, err := new(net.Dialer).DialContext(ctx, "unix", probe.Socket)
		if err != nil {
			return err
		}
		return connection.Close()
	}
	transport := &http.Transport{DisableKeepAlives: true}
	if probe.CA != "" {
		config, err := clientConfig(probe)
		if err != nil {
			return err
		}
		transport.TLSClientConfig = config
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, probe.URL, nil)
	if err != nil {
		return err
	}
	response, err := (&http.Client{Transport: transport}).Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 4096))
	if err != nil {
		return err
	}
	if response.StatusCode != http.StatusOK {
		return fmt.Errorf("%s says %s: %s", probe.URL, response.Status, strings.TrimSpace(string(body)))
	}
	return nil
}

func clientConfig(probe part.Probe) (*tls.Config, error) {
	certificate, err := tls.LoadX509KeyPair(probe.Certificate, probe.Key)
	if err != nil {
		return nil, err
	}
	content, err := os.ReadFile(probe.CA)
	if err != nil {
		return nil, err
	}
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM(content) {
		return nil, errors.New(probe.CA + " has no certificate")
	}
	return &tls.Config{RootCAs: roots, Certificates: []tls.Certificate{certificate}}, nil
}
