# Thin on purpose: what these do is in scripts/.
.DEFAULT_GOAL := help
.PHONY: help test faults services-up services-down services-status fmt demo

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/\1\t\2/p' $(MAKEFILE_LIST) | expand -t 20

test: ## all checks and tests, with every backend that can be had; ARGS go to go test
	scripts/test $(ARGS)

faults: ## the fault campaign: five minutes on PostgreSQL; ARGS go to it
	scripts/faults $(ARGS)

services-up: ## start Kafka, PostgreSQL and MariaDB (scripts/services env: how tests find them)
	scripts/services up

services-down: ## stop them and remove their data
	scripts/services down

services-status: ## what runs
	scripts/services status

fmt: ## format the Go code
	gofmt -w .

demo: ## run the example on the embedded broker and database
	go run ./examples/orders
