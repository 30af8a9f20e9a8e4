package temporald

import (
	"net"
	"strconv"
	"time"

	"go.temporal.io/server/common/cluster"
	"go.temporal.io/server/common/config"
	"go.temporal.io/server/common/dynamicconfig"
	"go.temporal.io/server/common/membership/static"
	"go.temporal.io/server/common/primitives"
)

const (
	loopback    = "127.0.0.1"
	clusterName = "triplicate" // tells our server from another on the same port
	storeName   = "sqlite"
)

func (c Config) addr(port int) string { return net.JoinHostPort(c.Listen, strconv.Itoa(port)) }

// lean switches off what one host does not need, and what phones home. Numbers
// must be Go ints: a float64 is ignored without a word.
var lean = dynamicconfig.StaticClient{
	dynamicconfig.MakeKey("frontend.enableServerVersionCheck"):    false,
	dynamicconfig.MakeKey("history.hostLevelCacheMaxSize"):        1024,
	dynamicconfig.MakeKey("matching.numTaskqueueReadPartitions"):  1,
	dynamicconfig.MakeKey("matching.numTaskqueueWritePartitions"): 1,
	dynamicconfig.MakeKey("worker.perNamespaceWorkerCount"):       1,
}

// services in the order of their ports, from the configured one up.
var services = []primitives.ServiceName{
	primitives.FrontendService, primitives.HistoryService, primitives.MatchingService, primitives.WorkerService,
}

// ports lists every port that the engine listens on.
func (s *Server) ports() []int {
	var ports []int
	for i := range services {
		ports = append(ports, s.cfg.Port+i)
	}
	if s.cfg.UIPort != 0 {
		ports = append(ports, s.cfg.UIPort)
	}
	return ports
}

// hosts replaces the membership protocol, and its ports, by a fixed table.
func (s *Server) hosts() map[primitives.ServiceName]static.Hosts {
	hosts := map[primitives.ServiceName]static.Hosts{}
	for i, name := range services {
		hosts[name] = static.SingleLocalHost(s.cfg.addr(s.cfg.Port + i))
	}
	return hosts
}

// database is one SQLite file. FULL: a commit is on disk before it is
// acknowledged, so no finished step runs again after a power loss. One
// connection: more gave "database is locked" and no speed.
func (s *Server) database() *config.SQL {
	return &config.SQL{
		PluginName:   "sqlite",
		DatabaseName: databasePath(s.cfg.Dir),
		MaxConns:     1,
		MaxIdleConns: 1,
		ConnectAttributes: map[string]string{
			"mode": "rwc", "journal_mode": "wal", "synchronous": "full", "busy_timeout": "10000",
		},
	}
}

func (s *Server) serverConfig(db *config.SQL) *config.Config {
	cfg := &config.Config{
		Global: config.Global{
			Membership: config.Membership{MaxJoinDuration: 30 * time.Second, BroadcastAddress: s.cfg.Listen},
		},
		Persistence: config.Persistence{
			DefaultStore:     storeName,
			VisibilityStore:  storeName,
			NumHistoryShards: 1, // fixed for the life of the file
			DataStores:       map[string]config.DataStore{storeName: {SQL: db}},
		},
		ClusterMetadata: &cluster.Config{
			FailoverVersionIncrement: 10,
			MasterClusterName:        clusterName,
			CurrentClusterName:       clusterName,
			ClusterInformation: map[string]cluster.ClusterInformation{
				clusterName: {Enabled: true, InitialFailoverVersion: 1, RPCAddress: s.cfg.addr(s.cfg.Port)},
			},
		},
		DCRedirectionPolicy: config.DCRedirectionPolicy{Policy: "noop"},
		Archival: config.Archival{
			History:    config.HistoryArchival{State: "disabled"},
			Visibility: config.VisibilityArchival{State: "disabled"},
		},
		NamespaceDefaults: config.NamespaceDefaults{Archival: config.ArchivalNamespaceDefaults{
			History:    config.HistoryArchivalNamespaceDefaults{State: "disabled"},
			Visibility: config.VisibilityArchivalNamespaceDefaults{State: "disabled"},
		}},
		PublicClient: config.PublicClient{HostPort: s.cfg.addr(s.cfg.Port)},
		Services:     map[string]config.Service{},
	}
	for i, name := range services {
		cfg.Services[string(name)] = config.Service{RPC: config.RPC{GRPCPort: s.cfg.Port + i, BindOnIP: s.cfg.Listen}}
	}
	return cfg
}
