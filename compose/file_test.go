package compose

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/goccy/go-yaml"
	"github.com/google/go-cmp/cmp"

	"triplicate/workflows"
)

// root is the repository; tests run in their package's folder.
const root = ".."

func read(t *testing.T, path ...string) string {
	t.Helper()
	data, err := os.ReadFile(filepath.Join(append([]string{root}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// service is what the tests look at of one service.
type service struct {
	Image       string
	Restart     string
	Ports       []string
	Volumes     []any
	Healthcheck map[string]any
}

func services(t *testing.T) map[string]service {
	t.Helper()
	var file struct {
		Services map[string]service
		Volumes  map[string]any
	}
	if err := yaml.Unmarshal([]byte(read(t, "docker-compose.yml")), &file); err != nil {
		t.Fatal(err)
	}
	if _, named := file.Volumes["postgres"]; !named {
		t.Error("the database's volume has no name: down would lose it")
	}
	return file.Services
}

// TestVersionsAreTheEmbeddedOnes: what a night is tested against, embedded, is what it
// meets in the cluster.
func TestVersionsAreTheEmbeddedOnes(t *testing.T) {
	pinned := map[string]string{}
	for _, m := range regexp.MustCompile(`(?m)^\t(\S+) v(\S+)$`).FindAllStringSubmatch(read(t, "go.mod"), -1) {
		pinned[m[1]] = m[2]
	}
	server := pinned["go.temporal.io/server"]
	want := map[string]string{
		"postgres": "postgres:16", "schema": "temporalio/admin-tools:" + server, "temporal": "temporalio/server:" + server,
		"namespace": "temporalio/admin-tools:" + server, "ui": "temporalio/ui:" + pinned["github.com/temporalio/ui-server/v2"],
	}
	got := map[string]string{}
	for name, s := range services(t) {
		got[name] = s.Image
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("images (-want +got):\n%s", diff)
	}
}

// TestServicesComeBackAndJobsEnd: what runs has a health check and is restarted; a job
// has neither.
func TestServicesComeBackAndJobsEnd(t *testing.T) {
	for name, s := range services(t) {
		switch name {
		case "schema", "namespace":
			if s.Restart != "no" || s.Healthcheck != nil || len(s.Ports) > 0 {
				t.Errorf("job %s: %+v", name, s)
			}
		default:
			if s.Restart != "unless-stopped" || s.Healthcheck["test"] == nil {
				t.Errorf("service %s: %+v", name, s)
			}
		}
		for _, p := range s.Ports {
			if !strings.HasPrefix(p, "127.0.0.1:") {
				t.Errorf("%s publishes %s: who reaches it commands the backups", name, p)
			}
		}
	}
}

// TestNamespaceJobKnowsTheSearchAttributes: all of them, and no others.
func TestNamespaceJobKnowsTheSearchAttributes(t *testing.T) {
	want, got := map[string]string{}, map[string]string{}
	for name, kind := range workflows.SearchAttributes() {
		want[name] = kind.String()
	}
	for _, m := range regexp.MustCompile(`(?m)^\t+(Triplicate\w+) (\w+)$`).FindAllStringSubmatch(read(t, "deploy", "compose", "namespace.sh"), -1) {
		got[m[1]] = m[2]
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("deploy/compose/namespace.sh (-want +got):\n%s", diff)
	}
}
