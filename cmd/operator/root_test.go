package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

func TestErrorsAreOneLineAndSayTheNextStep(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	notEnvoy := filepath.Join(t.TempDir(), "envoy")
	if err := os.WriteFile(notEnvoy, []byte("#!/bin/sh\necho hello\n"), 0o700); err != nil {
		t.Fatal(err)
	}
	for _, tc := range []struct {
		name string
		args []string
		says []string
	}{
		{"no directory is named", []string{"standalone"}, []string{"--dir is missing", "--dir ./manifests"}},
		{
			"an unknown flag",
			[]string{"standalone", "--directory", "x"},
			[]string{"unknown flag: --directory", "standalone --help"},
		},
		{"an argument", []string{"standalone", "x"}, []string{`"x"`, "--dir x"}},
		{
			"a CA that would sign before Envoys know it",
			[]string{"run", "--xds-ca-trust-first", "1m"},
			[]string{"--xds-ca-trust-first 1m0s", "1m40s"},
		},
		{
			"a CA that would be dropped before replicas know it",
			[]string{"run", "--xds-ca-trust-after", "5s"},
			[]string{"--xds-ca-trust-after 5s", "30s"},
		},
		{
			"live checks without a rate",
			[]string{"run", "--probe-rate", "0"},
			[]string{"--probe-rate 0", "0.1 to 1000"},
		},
		{
			"live checks at a rate that is no number",
			[]string{"run", "--probe-rate", "NaN"},
			[]string{"--probe-rate NaN"},
		},
		{
			"live checks of more endpoints at a time than memory is for",
			[]string{"run", "--probe-concurrency", "5000"},
			[]string{"--probe-concurrency 5000", "1 to 256"},
		},
		{
			"live checks that wait for an hour",
			[]string{"run", "--probe-timeout", "1h"},
			[]string{"--probe-timeout 1h0m0s", "1m0s"},
		},
		{"an unknown command", []string{"serve"}, []string{`"serve"`, "--help"}},
		{"a misspelt command", []string{"standalon"}, []string{`"standalon"`, "did you mean standalone"}},
		{
			"a log level that Envoy does not have",
			[]string{"standalone", "--dir", ".", "--envoy-log-level", "loud"},
			[]string{`"loud"`, "warning"},
		},
		{
			"an address that is no CIDR",
			[]string{"standalone", "--dir", ".", "--allow-address", "192.0.2.1"},
			[]string{`"192.0.2.1"`, "192.0.2.0/24"},
		},
		{"no Envoy", []string{"standalone", "--dir", ".", "--envoy", "/nonexistent/envoy"}, []string{"--envoy"}},
		{
			"something that is not Envoy",
			[]string{"standalone", "--dir", ".", "--envoy", notEnvoy},
			[]string{notEnvoy, "not Envoy"},
		},
	} {
		t.Run(strings.ReplaceAll(tc.name, " ", "_"), func(t *testing.T) {
			command := root()
			command.SetArgs(tc.args)
			command.SetOut(&bytes.Buffer{})
			command.SetErr(&bytes.Buffer{})
			err := command.ExecuteContext(t.Context())
			if err == nil {
				t.Fatal("no error")
			}
			if strings.Contains(err.Error(), "\n") {
				t.Errorf("more than one line: %q", err)
			}
			for _, says := range tc.says {
				if !strings.Contains(err.Error(), says) {
					t.Errorf("%q does not say %q", err, says)
				}
			}
		})
	}
}

func TestADirectoryThatCannotBeUsedIsSaid(t *testing.T) {
	envoy := os.Getenv("ENVOY")
	if envoy == "" {
		t.Fatal("ENVOY is not set: this test needs a real Envoy; `make test` gets one")
	}
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, dir := range map[string]string{"a_file": file, "nothing_there": "/nonexistent/dir"} {
		t.Run(name, func(t *testing.T) {
			var stderr bytes.Buffer
			command := root()
			command.SetArgs([]string{"standalone", "--dir", dir, "--envoy", envoy})
			command.SetErr(&stderr)
			err := command.ExecuteContext(t.Context())
			if err == nil || !strings.Contains(err.Error(), dir) || strings.Contains(err.Error(), "\n") {
				t.Errorf("error %v, want one line that names %s", err, dir)
			}
		})
	}
}
