package main

import (
	"context"
	"crypto/tls"
	"errors"
	"flag"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// serveBackend is the backend in a pod: it serves the certificate that is
// mounted when it starts, until it is told to end. Then it goes on for a
// moment, because whoever sends requests here has yet to hear of it.
func serveBackend(ctx context.Context, arguments []string) error {
	flags := flag.NewFlagSet("backend", flag.ContinueOnError)
	address := flags.String("address", ":8443", "where to listen")
	mount := flags.String("certificate", "/certificate", "directory of tls.crt and tls.key")
	linger := flags.Duration("linger", 5*time.Second, "how long to go on serving when told to end")
	if err := flags.Parse(arguments); err != nil {
		return err
	}
	certificate, err := tls.LoadX509KeyPair(filepath.Join(*mount, "tls.crt"), filepath.Join(*mount, "tls.key"))
	if err != nil {
		return fmt.Errorf("reading the certificate: %w", err)
	}
	name, err := os.Hostname()
	if err != nil {
		return err
	}
	server := &http.Server{
		Addr:              *address,
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          log.New(io.Discard, "", 0),
		TLSConfig:         &tls.Config{MinVersion: tls.VersionTLS12, Certificates: []tls.Certificate{certificate}},
		Handler: http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
			_, _ = fmt.Fprintf(w, "hello from backend %s\n", name)
		}),
	}
	ended := make(chan error, 1)
	go func() { ended <- server.ListenAndServeTLS("", "") }()
	select {
	case err := <-ended:
		return err
	case <-ctx.Done():
	}
	time.Sleep(*linger)
	bounded, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
	defer cancel()
	return errors.Join(server.Shutdown(bounded))
}
