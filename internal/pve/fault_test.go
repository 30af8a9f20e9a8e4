package pve_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/pve"
	"triplicate/internal/pve/pvetest"
)

const vzdump = "/nodes/*/vzdump"

// What became of a POST decides whether it may be sent again.
func TestStartDumpThatGoesWrong(t *testing.T) {
	for name, test := range map[string]struct {
		fault   pvetest.Fault
		want    error
		text    string
		started int
	}{
		"the node cannot reach the other": {pvetest.Fault{Code: 595, Reason: "No route to host"}, backup.ErrUnclear, "595 No route to host", 0},
		"the hop broke off":               {pvetest.Fault{Code: 596, Reason: "Broken pipe"}, backup.ErrUnclear, "596 Broken pipe", 0},
		"the answer broke off":            {pvetest.Fault{Code: 597}, backup.ErrUnclear, "597", 0},
		"the hop failed otherwise":        {pvetest.Fault{Code: 599, Reason: "Too many redirections"}, backup.ErrUnclear, "599 Too many", 0},
		"a reverse proxy gave up":         {pvetest.Fault{Code: 504}, backup.ErrUnclear, "504", 0},
		"somebody accepted it":            {pvetest.Fault{Code: 202}, backup.ErrUnclear, "202", 0},
		"carried out, the answer lost":    {pvetest.Fault{CutAfter: true}, backup.ErrUnclear, "EOF", 1},
		"cut before it was carried out":   {pvetest.Fault{Cut: true}, backup.ErrUnclear, "EOF", 0},
		"the server said no": {pvetest.Fault{Code: 500, Reason: "you can only backup a single VM with option --stdout"},
			backup.ErrRefused, "500 you can only", 0},
		"the server said nothing":        {pvetest.Fault{Code: 500}, backup.ErrUnclear, "500", 0},
		"started, but not noted down":    {pvetest.Fault{Code: 500, Reason: "can't lock file '/var/log/pve/tasks/.active.lock' - got timeout"}, backup.ErrUnclear, ".active.lock", 0},
		"an answer that makes no sense":  {pvetest.Fault{Code: 200, Body: `{"data":`}, backup.ErrUnclear, "unexpected end", 0},
		"an answer without a UPID":       {pvetest.Fault{Code: 200, Body: `{"data":null}`}, backup.ErrUnclear, "without data", 0},
		"the UPID of something else":     {pvetest.Fault{Code: 200, Body: `{"data":"UPID:smith:00000001:00000001:6A112233:qmstart:101:root@pam:"}`}, backup.ErrUnclear, "qmstart", 0},
		"the UPID of another guest":      {pvetest.Fault{Code: 200, Body: `{"data":"UPID:smith:00000001:00000001:6A112233:vzdump:102:root@pam:"}`}, backup.ErrUnclear, "102", 0},
		"the UPID of another node":       {pvetest.Fault{Code: 200, Body: `{"data":"UPID:evil:00000001:00000001:6A112233:vzdump:101:root@pam:"}`}, backup.ErrUnclear, "evil", 0},
		"a parameter that is new to it":  {pvetest.Fault{Code: 400, Reason: "Parameter verification failed."}, backup.ErrRefused, "400 Parameter", 0},
		"a method that it does not have": {pvetest.Fault{Code: 501, Reason: "Method 'POST /x' not implemented"}, backup.ErrRefused, "501", 0},
		"a token that has just been revoked": {pvetest.Fault{Do: func(c *pvetest.Cluster) { c.Revoke("triplicate@pve!backup") }},
			backup.ErrCredentials, "401 Authentication failed!", 0},
		"a privilege that is missing": {pvetest.Fault{Do: func(c *pvetest.Cluster) { c.SetACL(without("Datastore.AllocateSpace")...) }},
			backup.ErrForbidden, "403 Permission check failed (/storage/pbs-smith, Datastore.AllocateSpace)", 0},
		"the node goes down":          {pvetest.Fault{Do: func(c *pvetest.Cluster) { c.Down("smith") }}, backup.ErrUnclear, "", 0},
		"a guest that is gone by now": {pvetest.Fault{Do: func(c *pvetest.Cluster) { c.Remove(101) }}, nil, "", 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, nil)
			d := s.dump(t, 101)
			test.fault.Method, test.fault.Path, test.fault.Times = "POST", vzdump, -1
			s.Fail(test.fault)
			_, err := s.StartDump(t.Context(), d)
			if !errors.Is(err, test.want) || (err == nil) != (test.want == nil) || err != nil && !strings.Contains(err.Error(), test.text) {
				t.Errorf("error %v, want %v with %q", err, test.want, test.text)
			}
			if n := s.Count("POST", "."); n != 1 || len(s.waits) != 0 {
				t.Errorf("%d POSTs and %d waits, want one and none", n, len(s.waits))
			}
			s.Heal()
			s.Up("smith")
			s.Grant(pvetest.DefaultToken)
			list, err := s.Dumps(t.Context(), "smith", 101, time.Unix(0, 0))
			if err != nil || len(list) != test.started {
				t.Errorf("%d tasks, error %v; want %d", len(list), err, test.started)
			}
		})
	}
}

func TestStartDumpBeforeAnythingWasSent(t *testing.T) {
	s := newScene(t, nil)
	d := s.dump(t, 110)
	s.Down("smith")
	if _, err := s.StartDump(t.Context(), d); !errors.Is(err, backup.ErrUnreachable) {
		t.Errorf("nobody there: %v, want ErrUnreachable", err)
	}
	// The call itself does not fail over, but it knows better next time.
	if _, err := s.StartDump(t.Context(), d); err != nil {
		t.Errorf("the second try: %v", err)
	}
	if n := s.Count("POST", "."); n != 1 {
		t.Errorf("%d POSTs arrived, want 1", n)
	}
}

func TestAClientThatGivesUpOnAPost(t *testing.T) {
	s := newScene(t, nil)
	d := s.dump(t, 101)
	hold := make(chan struct{})
	defer close(hold)
	ctx, cancel := context.WithCancel(t.Context())
	s.Fail(pvetest.Fault{Method: "POST", Path: vzdump, Hold: hold, Do: func(*pvetest.Cluster) { cancel() }})
	if _, err := s.StartDump(ctx, d); !errors.Is(err, backup.ErrUnclear) || !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want ErrUnclear and Canceled", err)
	}
}

func TestReadingTriesAgain(t *testing.T) {
	second := time.Second
	for name, test := range map[string]struct {
		fault pvetest.Fault
		urls  int
		want  error
		sent  int
		waits []time.Duration
	}{
		"one bad answer, another node": {pvetest.Fault{Code: 596}, 3, nil, 2, nil},
		"three bad ones, a pause":      {pvetest.Fault{Code: 595, Times: 3}, 3, nil, 4, []time.Duration{second}},
		"cut, with one node":           {pvetest.Fault{Cut: true, Times: 2}, 1, nil, 3, []time.Duration{second, 2 * second}},
		"for ever":                     {pvetest.Fault{Code: 599, Times: -1}, 1, backup.ErrUnreachable, 4, []time.Duration{second, 2 * second, 4 * second}},
		"a server out of its mind":     {pvetest.Fault{Code: 500, Times: 2}, 1, nil, 3, []time.Duration{second, 2 * second}},
		"a no is a no":                 {pvetest.Fault{Code: 500, Reason: "no", Times: -1}, 3, backup.ErrRefused, 1, nil},
		"not permitted":                {pvetest.Fault{Code: 403, Reason: "Permission check failed (/, Sys.Audit)", Times: -1}, 3, backup.ErrForbidden, 1, nil},
		"not let in":                   {pvetest.Fault{Code: 401, Reason: "Authentication failed!", Times: -1}, 3, backup.ErrCredentials, 1, nil},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t, nil)
			id := s.start(t, 101)
			c := s.client(t, s.URLs()[:test.urls]...)
			test.fault.Path = "/nodes/*/tasks/*/status"
			s.Fail(test.fault)
			s.waits = nil
			task, err := c.Task(t.Context(), id)
			if !errors.Is(err, test.want) || err == nil && task.State != backup.TaskRunning {
				t.Errorf("task %+v, error %v; want %v", task, err, test.want)
			}
			if n := s.Count("GET", "/status$"); n != test.sent {
				t.Errorf("%d requests, want %d", n, test.sent)
			}
			if diff := cmp.Diff(test.waits, s.waits); diff != "" {
				t.Errorf("waits (-want +got):\n%s", diff)
			}
		})
	}
}

func TestReadingFailsOver(t *testing.T) {
	s := newScene(t, nil)
	s.Down("smith")
	if _, err := s.Guests(t.Context()); err != nil {
		t.Fatalf("with one node down: %v", err)
	}
	got, err := s.Client.Cluster(t.Context(), "pbs-smith")
	if err != nil || len(got.Storage.Down) != 0 {
		t.Errorf("cluster %+v, error %v: a node that is off is not asked for its storage", got, err)
	}
	if _, err := s.Dumps(t.Context(), "smith", 101, time.Unix(0, 0)); !errors.Is(err, backup.ErrUnreachable) || !strings.Contains(err.Error(), "595 No route to host") {
		t.Errorf("tasks of a node that is off: %v, want ErrUnreachable", err)
	}
	s.Down("jones")
	s.Down("brown")
	if _, err := s.Guests(t.Context()); !errors.Is(err, backup.ErrUnreachable) {
		t.Errorf("with all nodes down: %v, want ErrUnreachable", err)
	}
	s.Up("brown")
	if _, err := s.Guests(t.Context()); err != nil {
		t.Errorf("with one node up: %v", err)
	}
}

func TestCertificates(t *testing.T) {
	s := newScene(t, nil)
	if err := s.Renew("smith"); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Guests(t.Context()); err != nil {
		t.Errorf("the other nodes are still known: %v", err)
	}
	for _, name := range []string{"jones", "brown"} {
		if err := s.Renew(name); err != nil {
			t.Fatal(err)
		}
	}
	s.waits = nil
	before := len(s.Journal())
	if _, err := s.Guests(t.Context()); !errors.Is(err, backup.ErrFingerprint) || len(s.waits) != 0 {
		t.Errorf("error %v after %d waits, want ErrFingerprint at once", err, len(s.waits))
	}
	if _, err := s.StartDump(t.Context(), backup.Dump{Guest: backup.Guest{VMID: 101, Type: backup.VM, Node: "smith"}, Storage: "pbs-smith", Key: "k"}); !errors.Is(err, backup.ErrFingerprint) {
		t.Errorf("POST: %v, want ErrFingerprint", err)
	}
	if n := len(s.Journal()) - before; n != 0 {
		t.Errorf("the token went to %d servers that are not trusted", n)
	}
	s.Down("jones")
	if _, err := s.Guests(t.Context()); !errors.Is(err, backup.ErrFingerprint) {
		t.Errorf("strangers and silence: %v, want ErrFingerprint", err)
	}
}

func TestTokensAreReadAnew(t *testing.T) {
	s := newScene(t, nil)
	s.Grant(pvetest.Token{ID: "triplicate@pve!backup", Secret: "new"})
	if _, err := s.Guests(t.Context()); !errors.Is(err, backup.ErrCredentials) {
		t.Errorf("the old token: %v, want ErrCredentials", err)
	}
	s.token = "triplicate@pve!backup=new"
	if _, err := s.Guests(t.Context()); err != nil {
		t.Errorf("the new token: %v", err)
	}
	for _, text := range []string{"", "new", "a@b!c=\nX-Evil: 1", "a@b!c=", "triplicate@pve!backup:new"} {
		s.token = text
		_, err := s.Guests(t.Context())
		if !errors.Is(err, backup.ErrCredentials) || text != "" && strings.Contains(err.Error(), text) {
			t.Errorf("token %q: %v, want ErrCredentials without it", text, err)
		}
	}
}

func TestPrivileges(t *testing.T) {
	calls := map[string]func(*scene) error{
		"cluster": func(s *scene) error { _, err := s.Client.Cluster(t.Context(), "pbs-smith"); return err },
		"volumes": func(s *scene) error {
			_, err := s.Volumes(t.Context(), backup.Guest{VMID: 101, Type: backup.VM, Node: "smith"})
			return err
		},
	}
	for name, test := range map[string]struct {
		call, missing string
		want          error
		text          string
	}{
		"the cluster's state": {"cluster", "Sys.Audit", backup.ErrForbidden, "Permission check failed (/, Sys.Audit)"},
		"a guest's disks":     {"volumes", "VM.Audit", backup.ErrForbidden, "Permission check failed (/vms/101, VM.Audit)"},
	} {
		s := newScene(t, nil)
		s.SetACL(without(test.missing)...)
		if err := calls[test.call](s); !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.text) {
			t.Errorf("%s: %v, want %v with %q", name, err, test.want, test.text)
		}
	}
	s := newScene(t, nil)
	s.SetACL(pvetest.ACL{Path: "/", Who: "triplicate@pve", Privileges: []string{"Sys.Audit"}}) // the user's, not the token's
	if _, err := s.Client.Cluster(t.Context(), "pbs-smith"); !errors.Is(err, backup.ErrForbidden) {
		t.Errorf("a separated token with its user's privileges only: %v, want ErrForbidden", err)
	}
}

// The canary is in the token, in the server's texts and in its answers; it must
// not be in an error.
func TestTheSecretIsInNoError(t *testing.T) {
	_, canary, _ := strings.Cut(pvetest.DefaultToken.Text(), "=")
	for _, f := range []pvetest.Fault{
		{Code: 401, Reason: "bad token " + canary}, {Code: 500, Reason: canary}, {Code: 400, Body: `{"message":"x","errors":{"a":"` + canary + `"}}`},
		{Code: 596, Reason: "PVEAPIToken=" + pvetest.DefaultToken.Text()}, {Code: 302, Reason: canary}, {Cut: true}, {Code: 200, Body: canary},
	} {
		s := newScene(t, nil)
		d := s.dump(t, 101)
		f.Times = -1
		s.Fail(f)
		_, errGuests := s.Guests(t.Context())
		_, errStart := s.StartDump(t.Context(), d)
		for _, err := range []error{errGuests, errStart} {
			if err == nil || strings.Contains(err.Error(), canary) {
				t.Errorf("fault %+v: %v", f, err)
			}
			var e *pve.Error
			if errors.As(err, &e) && strings.Contains(e.Text+e.Path, canary) {
				t.Errorf("fault %+v: in the error's parts: %+v", f, e)
			}
		}
		for _, r := range s.Journal() {
			if strings.Contains(r.String(), canary) {
				t.Errorf("the journal has it: %s", r)
			}
		}
	}
}

func TestNew(t *testing.T) {
	token := func() (string, error) { return "", nil }
	for name, test := range map[string]struct {
		cfg pve.Config
		ok  bool
	}{
		"as it should be":   {pve.Config{URLs: []string{"https://smith:8006", "https://[2001:db8::1]:8006/"}, Token: token}, true},
		"no url":            {pve.Config{Token: token}, false},
		"no token":          {pve.Config{URLs: []string{"https://smith:8006"}}, false},
		"in the clear":      {pve.Config{URLs: []string{"http://smith:8006"}, Token: token}, false},
		"with a password":   {pve.Config{URLs: []string{"https://root:x@smith:8006"}, Token: token}, false},
		"with a path":       {pve.Config{URLs: []string{"https://smith:8006/api2/json"}, Token: token}, false},
		"a name and a port": {pve.Config{URLs: []string{"smith:8006"}, Token: token}, false},
	} {
		if _, err := pve.New(test.cfg); (err == nil) != test.ok {
			t.Errorf("%s: error %v, want ok = %v", name, err, test.ok)
		}
	}
}
