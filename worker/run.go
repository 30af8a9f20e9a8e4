package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"time"

	"github.com/coreos/go-systemd/v22/daemon"
	"go.temporal.io/sdk/client"
	"go.temporal.io/sdk/worker"
	"go.uber.org/zap"
	"go.uber.org/zap/zapcore"

	"triplicate/activities"
	"triplicate/internal/app"
	"triplicate/internal/app/engine"
	"triplicate/internal/config"
	"triplicate/workflows"
)

// reconcileEvery is how often the schedules are compared with the config. Temporal
// may drop one that was paused for over a week (temporalio/temporal#9752), and
// the nightly spec's horizon moves on.
const reconcileEvery = time.Hour

// run is the daemon: it returns when ctx ends, or with why it cannot start.
func run(ctx context.Context, args []string, stdout, stderr io.Writer) error {
	flags := flag.NewFlagSet("triplicated", flag.ContinueOnError)
	flags.SetOutput(stderr)
	path := flags.String("config", app.ConfigPath(), "the config `file`")
	level := flags.String("log-level", "info", "debug, info, warn or error")
	showVersion := flags.Bool("version", false, "print the version and exit")
	if err := flags.Parse(args); errors.Is(err, flag.ErrHelp) {
		return nil
	} else if err != nil {
		return err
	}
	if *showVersion {
		_, err := fmt.Fprintln(stdout, "triplicated", version)
		return err
	}
	cfg, err := config.LoadFile(*path)
	if err != nil {
		return err
	}
	logger, err := newLogger(*level, stderr)
	if err != nil {
		return err
	}
	return serve(ctx, cfg, logger)
}

// newLogger writes JSON lines for journald. It is the daemon's only logger: the
// SDK and the server get it too.
func newLogger(level string, w io.Writer) (*zap.Logger, error) {
	lvl, err := zapcore.ParseLevel(level)
	if err != nil {
		return nil, fmt.Errorf("-log-level: %w", err)
	}
	enc := zap.NewProductionEncoderConfig()
	enc.EncodeTime = zapcore.RFC3339TimeEncoder
	return zap.New(zapcore.NewCore(zapcore.NewJSONEncoder(enc), zapcore.Lock(zapcore.AddSync(w)), lvl)), nil
}

// serve runs engine, worker and schedules until ctx ends.
func serve(ctx context.Context, cfg *config.Config, logger *zap.Logger) error {
	e, err := engine.Start(ctx, cfg, logger)
	if err != nil {
		return err
	}
	defer e.Stop()
	pools := app.Pools(cfg)
	copies, err := app.Copies(cfg, pools)
	if err != nil {
		return err
	}
	if err := pools.Reap(ctx); err != nil {
		// A pool may come later; the steps will say so. Leftovers wait.
		logger.Warn("leftovers not looked for", zap.Error(err))
	}
	stop, err := startWorkers(e.Client, cfg, copies)
	if err != nil {
		return err
	}
	defer stop()
	if err := syncSchedules(ctx, e.Client, cfg, logger); err != nil {
		return err
	}
	// Not under systemd it tells nobody.
	if _, err := daemon.SdNotify(false, daemon.SdNotifyReady); err != nil {
		logger.Warn("systemd was not told", zap.Error(err))
	}
	logger.Info("ready", zap.String("host", cfg.Host), zap.String("version", version), zap.String("web", e.WebURL))
	reconcile(ctx, e.Client, cfg, logger)
	logger.Info("stopping")
	return nil
}

// How many steps run at a time: short ones, and long ones, which have a queue of
// their own so that first copies that run for days leave room for the hourly
// snapshots. Each guest that is waited for, each stream and each upload is one.
const (
	shortSteps = 8
	longSteps  = 64
)

// startWorkers serves the host's two task queues until the returned function is
// called.
func startWorkers(c client.Client, cfg *config.Config, copies *activities.Copies) (stop func(), err error) {
	options := worker.Options{
		MaxConcurrentActivityExecutionSize: shortSteps,
		// A restart should find progress that is seconds old, not minutes.
		MaxHeartbeatThrottleInterval:     5 * time.Second,
		DefaultHeartbeatThrottleInterval: 5 * time.Second,
		WorkerStopTimeout:                20 * time.Second,
		Identity:                         app.Identity(cfg),
	}
	short := worker.New(c, workflows.TaskQueue(cfg.Host), options)
	options.MaxConcurrentActivityExecutionSize = longSteps
	options.DisableWorkflowWorker = true
	long := worker.New(c, workflows.TransferQueue(cfg.Host), options)
	workflows.Register(short)
	copies.Register(short)
	copies.Register(long)
	for _, w := range []worker.Worker{long, short} {
		if err := w.Start(); err != nil {
			return nil, fmt.Errorf("start the worker: %w", err)
		}
	}
	return func() { short.Stop(); long.Stop() }, nil
}

// reconcile keeps the schedules as the config says, until ctx ends.
func reconcile(ctx context.Context, c client.Client, cfg *config.Config, logger *zap.Logger) {
	t := time.NewTicker(reconcileEvery)
	defer t.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-t.C:
			if err := syncSchedules(ctx, c, cfg, logger); err != nil {
				logger.Error("schedules not reconciled", zap.Error(err))
			}
		}
	}
}

func syncSchedules(ctx context.Context, c client.Client, cfg *config.Config, logger *zap.Logger) error {
	report, err := app.SyncSchedules(ctx, c, cfg)
	if err != nil {
		return fmt.Errorf("schedules: %w", err)
	}
	logger.Info("schedules", zap.Any("report", report))
	return nil
}
