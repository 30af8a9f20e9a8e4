// Package engine brings up the Temporal server that a config asks for: the
// embedded one, or a connection to somebody else's. It links the server, so only
// the daemon imports it.
package engine

import (
	"context"
	"fmt"
	"io"
	"time"

	"go.temporal.io/sdk/client"
	"go.uber.org/zap"

	"triplicate/internal/app"
	"triplicate/internal/config"
	"triplicate/internal/temporald"
	"triplicate/internal/zaplog"
	"triplicate/workflows"
)

// Engine is a Temporal server to work with, and its client.
type Engine struct {
	Client client.Client
	WebURL string // of the embedded server; empty for an external one
	server *temporald.Server
	lock   io.Closer
}

// Start brings the engine up and prepares namespace and search attributes. But
// for who runs the server, both kinds behave the same.
func Start(ctx context.Context, cfg *config.Config, z *zap.Logger) (*Engine, error) {
	e := &Engine{}
	if err := e.start(ctx, cfg, z); err != nil {
		e.Stop()
		return nil, err
	}
	return e, nil
}

func (e *Engine) start(ctx context.Context, cfg *config.Config, z *zap.Logger) error {
	retention := time.Duration(cfg.Temporal.RetentionDays) * 24 * time.Hour
	if app.External(cfg) {
		lock, err := temporald.LockDir(cfg.StateDirectory)
		if err != nil {
			return err
		}
		e.lock = lock
	} else {
		server, err := temporald.Start(ctx, temporald.Config{
			Dir: cfg.StateDirectory, Listen: cfg.Temporal.Listen, Port: cfg.Temporal.Port, UIPort: cfg.Temporal.UIPort,
			Namespace: cfg.Temporal.Namespace, Retention: retention,
			SearchAttributes: workflows.SearchAttributes(), Logger: z,
		})
		if err != nil {
			return err
		}
		e.server, e.WebURL = server, server.UIURL()
	}
	var err error
	if e.Client, err = app.Dial(ctx, cfg, zaplog.New(z)); err != nil {
		return err
	}
	if app.External(cfg) {
		namespace, err := app.Namespace(cfg)
		if err == nil {
			err = temporald.Prepare(ctx, e.Client, temporald.Theirs, namespace, retention, workflows.SearchAttributes())
		}
		if err != nil {
			return fmt.Errorf("prepare the Temporal server: %w", err)
		}
	}
	return nil
}

// Stop ends the client and the embedded server.
func (e *Engine) Stop() {
	if e.Client != nil {
		e.Client.Close()
	}
	if e.server != nil {
		e.server.Stop()
	}
	if e.lock != nil {
		_ = e.lock.Close()
	}
}
