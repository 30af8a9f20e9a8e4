// Package app is the wiring: it turns a config into adapters, adapters into
// activities, and finds the Temporal server. It is the one place that knows
// everything, and it decides nothing. It links no Temporal server; that is
// internal/app/engine's part, which only the daemon needs.
package app

import (
	"context"
	"fmt"
	"os"
	"time"

	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/contrib/envconfig"
	"go.temporal.io/sdk/log"

	"triplicate/activities"
	"triplicate/internal/config"
)

// DefaultConfig is where the config is unless a flag or TRIPLICATE_CONFIG says
// otherwise.
const DefaultConfig = "/etc/triplicate/triplicate.yaml"

// ConfigPath is the config's path: TRIPLICATE_CONFIG or DefaultConfig.
func ConfigPath() string {
	if p := os.Getenv("TRIPLICATE_CONFIG"); p != "" {
		return p
	}
	return DefaultConfig
}

// Pools are the steps on this machine's pools.
func Pools(cfg *config.Config) *activities.Pools {
	return &activities.Pools{
		ZFS: newZFS(), Policy: cfg.Policy(), Locks: activities.NewLocks(), Now: time.Now,
	}
}

// External says whether the Temporal server is somebody else's: named in the
// config, or by TEMPORAL_ADDRESS and its like, which the SDK reads.
func External(cfg *config.Config) bool {
	return cfg.Temporal.Address != "" || os.Getenv("TEMPORAL_ADDRESS") != "" || os.Getenv("TEMPORAL_PROFILE") != ""
}

// ClientOptions say how to reach the Temporal server. The SDK's TEMPORAL_*
// variables and config file (TLS, API key) hold for an external server; the
// config's address comes before the environment's.
func ClientOptions(cfg *config.Config, logger log.Logger) (client.Options, error) {
	opts := client.Options{}
	if External(cfg) {
		var err error
		if opts, err = envconfig.LoadDefaultClientOptions(); err != nil {
			return opts, fmt.Errorf("TEMPORAL_* environment: %w", err)
		}
	}
	if cfg.Temporal.Address != "" {
		opts.HostPort = cfg.Temporal.Address
	}
	if !External(cfg) {
		opts.HostPort = fmt.Sprintf("%s:%d", cfg.Temporal.Listen, cfg.Temporal.Port)
	}
	if os.Getenv("TEMPORAL_NAMESPACE") == "" || !External(cfg) {
		opts.Namespace = cfg.Temporal.Namespace
	}
	opts.Logger = logger
	return opts, nil
}

// Namespace is the one that worker, schedules and looks all use.
func Namespace(cfg *config.Config) (string, error) {
	opts, err := ClientOptions(cfg, nil)
	return opts.Namespace, err
}

// Dial connects to the Temporal server, with an error that says what to do.
func Dial(ctx context.Context, cfg *config.Config, logger log.Logger) (client.Client, error) {
	opts, err := ClientOptions(cfg, logger)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	c, err := client.DialContext(ctx, opts)
	if err != nil {
		hint := "is triplicated running? (systemctl status triplicated)"
		if External(cfg) {
			hint = "check temporal.address and that the server is up"
		}
		return nil, fmt.Errorf("no Temporal server at %s: %s: %w", opts.HostPort, hint, err)
	}
	return c, nil
}

// WebURL is where a workflow can be read, as far as we know: the Web UI of the
// embedded server. Empty for an external one.
func WebURL(cfg *config.Config, workflowID string) string {
	if External(cfg) || cfg.Temporal.UIPort == 0 {
		return ""
	}
	return fmt.Sprintf("http://%s:%d/namespaces/%s/workflows/%s",
		cfg.Temporal.Listen, cfg.Temporal.UIPort, cfg.Temporal.Namespace, workflowID)
}
