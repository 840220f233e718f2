# backendtls. `make help` says what there is; README.md what it needs.
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

export GOTOOLCHAIN := auto
export CGO_ENABLED := 0
# The version is said by the linker flags; asking git fails where somebody else
# owns the clone. gRPC's tracing, which nobody turns on, makes the linker keep every
# exported method: without it the operator is a third smaller, on disk and in memory.
# What is tested is compiled as what is shipped, so that nothing is compiled twice.
export GOFLAGS := $(GOFLAGS) -buildvcs=false -trimpath -tags=grpcnotrace
# Without a home that can be written to, Go and pip keep their caches here.
ifneq ($(shell test -w "$${HOME:-}" && echo yes),yes)
export HOME := $(shell mkdir -p .build/home && cd .build/home && pwd)
endif

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo development)
GOBUILD  = go build -ldflags "-s -w -X main.version=$(VERSION)"
# Tools are built once for each state of their module.
TOOLS   := .build/tools/$(shell cat tools/go.mod tools/go.sum | sha256sum | cut -c1-16)
# GoReleaser has a module of its own: it is large, and only releases need it.
GORELEASER := .build/tools/$(shell cat tools/release/go.mod tools/release/go.sum | sha256sum | cut -c1-16)/goreleaser
# Archives of the plugin: those of a directory, or ones built here of the tag.
ARCHIVES ?= .build/archives
TAG ?= $(shell git describe --tags --exact-match --match 'v*' 2>/dev/null || \
	echo v0.0.0-snapshot-$$(git rev-parse --short HEAD 2>/dev/null || echo unknown))
# The pinned Envoy, or ENVOY=path for one of your own.
ENVOY   ?= .build/envoy/1.40.0/envoy
override ENVOY := $(abspath $(ENVOY))
export ENVOY
# The manifests name the operator's image with this tag.
IMAGE_TAG ?= v0.1.0
# The local cluster's program; it has a module of its own.
LOCALCLUSTER := .build/localcluster

##@ Use it
help: ## Say what there is
	@awk -F ':.*## ' '/^##@/ { printf "\n%s\n", substr($$0, 5) } \
		/^[a-z0-9-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: ## Watch a certificate be refused, pinned, replaced, waved through, pinned again (KEEP=1 stays up; CLUSTER=local|kind|context:NAME)
	@hack/demo.sh "$(CLUSTER)" $(if $(KEEP),--keep)

shell: ## A shell with kubectl, the plugin and completion on the local cluster
	@hack/shell.sh

build: ## Build both programs into bin/
	@echo "building bin/backendtls-operator and bin/kubectl-backendtls (minutes the first time, seconds later)"
	@$(GOBUILD) -o bin/backendtls-operator ./cmd/operator
	@$(GOBUILD) -o bin/kubectl-backendtls ./cmd/kubectl-backendtls

envoy: ## Get the pinned Envoy into .build/, or check ENVOY=path
	@hack/envoy.sh "$(ENVOY)"

cluster: $(LOCALCLUSTER) ## Bring up a local Kubernetes cluster, .cluster/kubeconfig, with the images in it; needs root
	@$(LOCALCLUSTER) up
	@$(MAKE) --no-print-directory image
	@$(LOCALCLUSTER) load .build/images/*.tar

cluster-down: $(LOCALCLUSTER) ## Remove the local cluster with everything that belongs to it
	@$(LOCALCLUSTER) down

image: $(LOCALCLUSTER) build envoy ## Make the container images of the operator and of Envoy, .build/images/*.tar
	@$(LOCALCLUSTER) image --name docker.io/backendtls/operator:$(IMAGE_TAG) --binary bin/backendtls-operator \
		--out .build/images/operator.tar
	@# As the official image has it, so that what names that one runs with this one.
	@$(LOCALCLUSTER) image --name docker.io/envoyproxy/envoy:distroless-v1.40.0 --binary "$(ENVOY)" \
		--argument -c --argument /etc/envoy/envoy.yaml --with-libraries \
		--file /etc/ssl/certs/ca-certificates.crt:/etc/ssl/certs/ca-certificates.crt --out .build/images/envoy.tar
	@# The backend that the demo and the tests in a cluster send requests to.
	@$(GOBUILD) -o .build/demo ./hack/demo
	@$(LOCALCLUSTER) image --name docker.io/backendtls/demo-backend:$(IMAGE_TAG) --binary .build/demo \
		--out .build/images/demo-backend.tar

##@ Release it, see docs/releasing.md
release-check: $(GORELEASER) ## Ask GoReleaser whether it takes .goreleaser.yaml
	@$< check --quiet

release-snapshot: $(GORELEASER) ## Build with GoReleaser what a release would be into .build/dist, and prove it
	@$< release --snapshot --clean --skip=sbom,sign,publish
	@$(MAKE) --no-print-directory test-release ARCHIVES=.build/dist

release: $(GORELEASER) ## Build, sign and upload a draft of the release; for the workflow
	@$< release --clean

krew-manifest: $(ARCHIVES)/checksums.txt ## Write krew/backendtls.yaml; ARCHIVES=DIR, URL=BASE if they are elsewhere
	@go run ./hack/release manifest -archives "$(ARCHIVES)" -url "$(URL)" -out krew/backendtls.yaml
	@echo "wrote krew/backendtls.yaml"

krew-index: $(if $(DIR),$(ARCHIVES)/checksums.txt) ## Write a custom index of krew to DIR=DIR; ARCHIVES=DIR, URL=BASE as above
	@: $(if $(DIR),,$(error DIR is missing: say where the index goes, as in make krew-index DIR=../index))
	@go run ./hack/release index -archives "$(ARCHIVES)" -url "$(URL)" -dir "$(DIR)"

##@ Work on it
test: ## Prove everything: lint, then all tests with the race detector on a real Envoy, then fuzzing
	@hack/need-c.sh
	@$(MAKE) --no-print-directory envoy
	@# To the end whatever fails: one run says all there is to mend.
	@$(MAKE) --no-print-directory --keep-going -j1 lint test-packages test-promql test-e2e test-tui fuzz

# Without vet, here and below: lint runs all of it.
test-packages: envoy
	@go run ./hack/gotest -race -vet=off -count=1 -timeout 15m $$(go list ./... | grep -v -e /test/e2e -e /test/tui -e /test/cluster \
		-e /test/release/archives)

# Alerts and dashboard, by Prometheus' own parser and engine.
test-promql:
	@cd test/promql && go test -count=1 ./...

# Alone, because it measures deadlines that are promised.
test-e2e: envoy
	@go run ./hack/gotest -race -vet=off -count=1 -timeout 15m ./test/e2e

test-cluster: build image cluster ## Prove it in a real cluster: needs root, see docs/local-cluster.md
	@go run ./hack/gotest -race -count=1 -timeout 40m ./test/cluster
	@# The local cluster itself, on clusters of its own.
	@cd test/localcluster && go test -count=1 -timeout 15m ./...

conformance: ## Let the Gateway API's conformance suite judge it, in the local cluster: needs root (RUN=NAME,NAME; KEEP=1)
	@hack/conformance.sh "$(VERSION)" "$(RUN)"

test-tui: envoy ## Play the plugin's screens in a real terminal; needs tmux (TUI_KUBECONFIG=FILE: in that cluster)
	@go run ./hack/gotest -count=1 -timeout 15m ./test/tui

e2e: envoy ## Only the tests on a real Envoy
	@go run ./hack/gotest -count=1 -timeout 15m ./test/e2e/... ./operator/process/...

fuzz: ## Fuzz every target, FUZZTIME=10s each
	@hack/fuzz.sh $(or $(FUZZTIME),10s)

golden: envoy ## Write the golden files anew; read the diff before you commit it
	@UPDATE_GOLDEN=1 go test -count=1 $$(grep -rl --include='*_test.go' UPDATE_GOLDEN . | xargs dirname | sort -u)

lint: $(TOOLS)/golangci-lint ## Check style, faults and the import table
	@$< run --allow-parallel-runners ./...
	@# They are modules of their own, and the import table is not for them.
	@cd test/localcluster && ../../$< run --allow-parallel-runners --config ../../.golangci.yml --disable depguard ./...
	@cd test/conformance && ../../$< run --allow-parallel-runners --config ../../.golangci.yml --disable depguard ./...
	@cd test/promql && ../../$< run --allow-parallel-runners --config ../../.golangci.yml --disable depguard ./...

generate: $(TOOLS)/controller-gen ## Generate deepcopy and CRD anew
	@CONTROLLER_GEN=$(CURDIR)/$< hack/generate

install-yaml: ## Render manifests/ into .build/install.yaml, which needs nothing but kubectl apply
	@mkdir -p .build
	@go run ./hack/render manifests >.build/install.yaml.new
	@mv .build/install.yaml.new .build/install.yaml
	@echo "wrote .build/install.yaml"

test-release: $(ARCHIVES)/checksums.txt ## Prove the plugin's archives for all platforms, built here or in ARCHIVES=DIR
	@ARCHIVES="$(abspath $(ARCHIVES))" go run ./hack/gotest -count=1 -timeout 30m ./test/release/archives

figures: build image cluster ## Measure operator (idle, 1,000 policies) and plugin in the local cluster; needs root
	@go test -run '^$$' -bench 'OperatorInACluster|StartOfThePlugin' -benchtime 1x -timeout 20m ./test/cluster

bench: envoy ## Run the benchmarks
	@go test -run '^$$' -bench . -benchmem ./internal/... ./operator/... ./plugin/... $$(go list ./test/... | grep -v /test/cluster)

clean: ## Remove everything that was built or fetched
	@if [ -d .build ]; then chmod -R u+w .build; fi
	@rm -rf bin .build .demo

# The Go build itself knows whether there is anything to do.
$(LOCALCLUSTER): FORCE
	@mkdir -p $(@D) 2>/dev/null && test -w $(@D) || { echo "$(CURDIR)/$(@D) cannot be written by $$(id -un):" \
		"the local cluster needs root (sudo make cluster); make demo does not, in a clone of your own" >&2; exit 1; }
	@test -e $@ || echo "building $@ (a minute the first time, seconds later)"
	@cd test/localcluster && go build -ldflags "-s -w" -o ../../$@ .
FORCE:

$(TOOLS)/golangci-lint: PACKAGE := github.com/golangci/golangci-lint/v2/cmd/golangci-lint
$(TOOLS)/controller-gen: PACKAGE := sigs.k8s.io/controller-tools/cmd/controller-gen
$(TOOLS)/%:
	@echo "building $* (minutes the first time, never again until tools/go.mod changes)"
	@cd tools && go build -ldflags "-s -w" -o ../$@ $(PACKAGE)

$(GORELEASER):
	@echo "building goreleaser (minutes the first time, never again until tools/release/go.mod changes)"
	@cd tools/release && go build -ldflags "-s -w" -o ../../$@ github.com/goreleaser/goreleaser/v2

.build/archives/checksums.txt: FORCE
	@echo "building the archives of $(TAG) into .build/archives (minutes the first time)"
	@rm -rf .build/archives
	@go run ./hack/release archives -tag "$(TAG)" -time "$$(git log -1 --format=%ct 2>/dev/null || echo 0)" \
		-dir .build/archives

.PHONY: help demo shell build envoy test test-packages test-promql test-e2e test-tui test-cluster e2e fuzz golden lint \
	generate install-yaml figures bench clean cluster cluster-down image conformance test-release release release-check \
	release-snapshot krew-manifest krew-index FORCE
