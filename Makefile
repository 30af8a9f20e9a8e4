# make demo: a newcomer's first command. make test: all that must pass.

export CGO_ENABLED ?= 0
VERSION := $(shell git describe --always --dirty 2>/dev/null || echo dev)
# The same flags for building and testing, or the server would be compiled twice.
export GOFLAGS += -trimpath
FLAGS   := -ldflags "-s -w -X main.version=$(VERSION)"

.PHONY: build sim fake demo night test unit lab-test pictures interop lint check fmt replay-record down

build: ## bin/triplicated, the daemon, and bin/triplicate, the command
	@.ci/gobuild $(FLAGS) -o bin/triplicated ./worker
	@.ci/gobuild $(FLAGS) -o bin/triplicate ./starter

sim: ## bin/sim, the simulated Proxmox and bucket of the lab
	@.ci/gobuild $(FLAGS) -o bin/sim ./lab/sim

demo: ## two nights and three restores, printed as they happen; STAY=1 keeps it up, DEMO_ZFS=fake is the one-minute look
	@$(MAKE) --no-print-directory -s bin/demo
	@bin/demo $(if $(STAY),--stay)

night: ## the demo on real OpenZFS in the lab VM
	DEMO_ZFS=vm $(MAKE) --no-print-directory demo

.PHONY: bin/demo
bin/demo:
	@.ci/gobuild $(FLAGS) -o bin/demo ./demo

fake: sim ## bin/fake, the daemon and the command on pools that are simulated too
	@.ci/gobuild $(FLAGS) -tags fakezfs -o bin/fake/triplicated ./worker
	@.ci/gobuild $(FLAGS) -tags fakezfs -o bin/fake/triplicate ./starter

test: ## everything: unit tests, then the contract and whole nights on real OpenZFS
	.ci/test

unit: ## what needs no VM
	.ci/test unit

lab-test: ## what needs the VM
	.ci/test lab

pictures: ## docs/pictures, from the running program
	PICTURES=../docs/pictures go test -tags demo -count=1 -timeout 20m -v ./demo

interop: build ## temporal and tctl on the daemon's schedules; builds both the first time, several minutes
	interop/clis
	go test -tags interop -count=1 -timeout 20m ./interop

compose: build sim ## docker-compose.yml for real, and nights against it; builds stand-ins for its images the first time
	compose/images
	compose/engine go test -tags compose -count=1 -timeout 40m ./compose

lint: ## golangci-lint with the import rules, and workflowcheck
	.ci/lint

check: test lint ## what CI runs

fmt:
	gofmt -w $$(git ls-files '*.go')

replay-record: build sim ## record a history of every workflow from the lab
	lab/record

down: ## stop the lab VM
	lab/vm down
