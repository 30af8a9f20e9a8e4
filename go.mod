module triplicate

go 1.26.8

require (
	github.com/goccy/go-yaml v1.19.2 // indirect
	github.com/google/go-cmp v0.7.0 // indirect
	github.com/temporalio/ui-server/v2 v2.45.1 // indirect
	go.temporal.io/api v1.62.2 // indirect
	go.temporal.io/sdk v1.38.0 // indirect
	go.temporal.io/server v1.30.8 // indirect
	go.uber.org/multierr v1.11.0 // indirect
	go.uber.org/zap v1.28.0 // indirect
)
