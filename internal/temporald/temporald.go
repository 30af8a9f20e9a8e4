// Package temporald runs a Temporal server and its Web UI inside the daemon, on one SQLite file, with every listener on 127.0.0.1. Its database is disposable:
// config and the state of the pools, PBS and S3 are the truth, and schedules are
// made again from the config.
//
// It is the only package that links the Temporal server, whose compile costs
// minutes: nothing that can do without imports it, and its tests run without -race.
package temporald

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	enumspb "go.temporal.io/api/enums/v1"
	"go.temporal.io/sdk/client"
	"go.temporal.io/server/common/authorization"
	serverconfig "go.temporal.io/server/common/config"
	_ "go.temporal.io/server/common/persistence/sql/sqlplugin/sqlite" // the database driver
	sqliteschema "go.temporal.io/server/schema/sqlite"
	"go.temporal.io/server/temporal"
	"google.golang.org/protobuf/types/known/durationpb"

	uiserver "github.com/temporalio/ui-server/v2/server"
	uiconfig "github.com/temporalio/ui-server/v2/server/config"
	uioptions "github.com/temporalio/ui-server/v2/server/server_options"
	"go.uber.org/zap"
)

// What can keep the engine from starting. The text of each says what to do.
var (
	// ErrPortTaken: another program listens on a port that we need.
	ErrPortTaken = errors.New("port is taken")
	// ErrSecondInstance: another daemon has this state directory.
	ErrSecondInstance = errors.New("another triplicated is running")
	// ErrSchema: the database file is of another Temporal server version.
	ErrSchema = errors.New("the database is from another version")
	// ErrStranger: what answers on our port is not our server.
	ErrStranger = errors.New("another Temporal server answers")
)

// MinRetention is how long finished runs are kept at least: the audit history.
const MinRetention = 90 * 24 * time.Hour

// Config says where the engine lives.
type Config struct {
	Dir              string // state directory; the database is Dir/temporal.db
	Listen           string // IP address; empty: 127.0.0.1. There is no authentication
	Port             int    // gRPC; the three ports above it are used too
	UIPort           int    // Web UI; 0: none
	Namespace        string
	Retention        time.Duration // of finished runs; at least MinRetention
	SearchAttributes map[string]enumspb.IndexedValueType
	Logger           *zap.Logger
}

// Server is a running engine.
type Server struct {
	cfg    Config
	lock   *os.File
	server temporal.Server
	ui     *uiserver.Server
}

// Address is host:port of the gRPC frontend.
func (s *Server) Address() string { return s.cfg.addr(s.cfg.Port) }

// UIURL is the Web UI's address, empty if there is none.
func (s *Server) UIURL() string {
	if s.cfg.UIPort == 0 {
		return ""
	}
	return "http://" + s.cfg.addr(s.cfg.UIPort)
}

// Start brings the engine up and returns when it answers. Errors: ErrPortTaken,
// ErrSecondInstance, ErrSchema, ErrStranger, each with what to do about it.
func Start(ctx context.Context, cfg Config) (*Server, error) {
	cfg.Retention = max(cfg.Retention, MinRetention)
	cfg.Listen = cmp.Or(cfg.Listen, loopback)
	lock, err := LockDir(cfg.Dir)
	if err != nil {
		return nil, err
	}
	s := &Server{cfg: cfg, lock: lock}
	if err := s.start(ctx); err != nil {
		s.Stop()
		return nil, err
	}
	return s, nil
}

func (s *Server) start(ctx context.Context) error {
	// A taken port would end the whole process (Fatal in the server's listener),
	// so each is tried first.
	for _, p := range s.ports() {
		if err := probePort(s.cfg.addr(p), p); err != nil {
			return err
		}
	}
	db := s.database()
	if err := prepareDatabase(db, s.cfg); err != nil {
		return err
	}
	logger := serverLogger{s.cfg.Logger.Named("temporal").WithOptions(zap.IncreaseLevel(zap.WarnLevel))}
	server, err := temporal.NewServer(
		temporal.ForServices(temporal.DefaultServices),
		temporal.WithConfig(s.serverConfig(db)),
		temporal.WithStaticHosts(s.hosts()),
		temporal.WithLogger(logger),
		temporal.WithAuthorizer(authorization.NewNoopAuthorizer()),
		temporal.WithClaimMapper(func(*serverconfig.Config) authorization.ClaimMapper {
			return authorization.NewNoopClaimMapper()
		}),
		temporal.WithDynamicConfigClient(lean),
	)
	if err != nil {
		return fmt.Errorf("temporal server: %w", err)
	}
	s.server = server
	if err := server.Start(); err != nil {
		return fmt.Errorf("start temporal server: %w", err)
	}
	if err := s.verify(ctx); err != nil {
		return err
	}
	if s.cfg.UIPort != 0 {
		s.startUI()
	}
	return nil
}

// verify waits until the namespace answers, and makes sure that it is ours: once
// another server had our port, and its "namespace not found" was all there was
// to see.
func (s *Server) verify(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	c, err := client.NewLazyClient(client.Options{HostPort: s.Address(), Namespace: s.cfg.Namespace, Logger: quietLogger{}})
	if err != nil {
		return fmt.Errorf("temporal client: %w", err)
	}
	defer c.Close()
	if err := awaitServer(ctx, c, s.cfg.Namespace); err != nil {
		return fmt.Errorf("the engine does not answer on %s: %w", s.Address(), err)
	}
	info, err := c.WorkflowService().GetClusterInfo(ctx, nil)
	if err == nil && info.GetClusterName() != clusterName {
		return fmt.Errorf("%w on %s (cluster %q); choose another temporal.port", ErrStranger, s.Address(), info.GetClusterName())
	}
	if err := Prepare(ctx, c, Ours, s.cfg.Namespace, s.cfg.Retention, s.cfg.SearchAttributes); err != nil {
		return err
	}
	// The namespace is known to all of the server's parts only a moment later.
	return awaitNamespace(ctx, c, s.cfg.Namespace)
}

// prepareDatabase makes the file if it is not there, and refuses one whose
// schema is not this server's: SQLite has no migrations in Temporal, and an old
// file would fail at some later moment with "no such table".
func prepareDatabase(db *serverconfig.SQL, cfg Config) error {
	path := db.DatabaseName
	if _, err := os.Stat(path); err == nil {
		return checkSchema(path)
	} else if !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("database: %w", err)
	}
	// Built beside and renamed, so that a kill in the middle leaves no half file.
	fresh := *db
	fresh.DatabaseName = path + ".new"
	removeDatabase(fresh.DatabaseName)
	if err := os.WriteFile(fresh.DatabaseName, nil, 0o600); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := sqliteschema.SetupSchema(&fresh); err != nil {
		return fmt.Errorf("database schema: %w", err)
	}
	ns, err := sqliteschema.NewNamespaceConfig(clusterName, cfg.Namespace, false, cfg.SearchAttributes)
	if err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	ns.Detail.Config.Retention = durationpb.New(cfg.Retention) // else 24 h
	if err := sqliteschema.CreateNamespaces(&fresh, ns); err != nil {
		return fmt.Errorf("namespace: %w", err)
	}
	if err := checkpoint(fresh.DatabaseName); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	if err := os.Rename(fresh.DatabaseName, path); err != nil {
		return fmt.Errorf("database: %w", err)
	}
	removeDatabase(fresh.DatabaseName) // what SQLite left beside it
	return nil
}

func (s *Server) startUI() {
	s.ui = uiserver.NewServer(uioptions.WithConfigProvider(&uiconfig.Config{
		Host: s.cfg.Listen, Port: s.cfg.UIPort,
		TemporalGRPCAddress: s.Address(),
		EnableUI:            true,
		DefaultNamespace:    s.cfg.Namespace,
		HideLogs:            true,
		NotifyOnNewVersion:  false, // nothing phones home
		CORS:                uiconfig.CORS{CookieInsecure: true},
	}))
	go func() {
		if err := s.ui.Start(); err != nil {
			s.cfg.Logger.Error("web ui ended", zap.Error(err))
		}
	}()
}

// Stop ends the engine and lets go of the state directory. It may be called on a
// half-started one.
func (s *Server) Stop() {
	if s.ui != nil {
		s.ui.Stop()
	}
	if s.server != nil {
		_ = s.server.Stop()
	}
	if s.lock != nil {
		_ = s.lock.Close()
	}
}

// databasePath is the one file.
func databasePath(dir string) string { return filepath.Join(dir, "temporal.db") }
