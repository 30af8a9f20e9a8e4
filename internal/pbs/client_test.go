package pbs_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"triplicate/internal/backup"
	"triplicate/internal/pbs"
	"triplicate/internal/pbs/pbstest"
	"triplicate/internal/pin"
)

func TestWhatIsNotADatastoreIsRefused(t *testing.T) {
	good := pbs.Config{
		URL: "https://pbs:8007", Datastore: "backups-vm", Token: func() (string, error) { return token, nil },
	}
	for name, change := range map[string]func(*pbs.Config){
		"no TLS":                  func(c *pbs.Config) { c.URL = "http://pbs:8007" },
		"no host":                 func(c *pbs.Config) { c.URL = "https://" },
		"a password in the URL":   func(c *pbs.Config) { c.URL = "https://root:" + secret + "@pbs:8007" },
		"no URL":                  func(c *pbs.Config) { c.URL = "\x7f" },
		"no token":                func(c *pbs.Config) { c.Token = nil },
		"a path as datastore":     func(c *pbs.Config) { c.Datastore = "../../nodes" },
		"no datastore":            func(c *pbs.Config) { c.Datastore = "" },
		"an option as namespace":  func(c *pbs.Config) { c.Namespace = "-x" },
		"nine namespaces":         func(c *pbs.Config) { c.Namespace = "a/b/c/d/e/f/g/h/i" },
		"a namespace with a hole": func(c *pbs.Config) { c.Namespace = "a//b" },
	} {
		t.Run(name, func(t *testing.T) {
			conf := good
			change(&conf)
			_, err := pbs.New(conf)
			if err == nil {
				t.Fatal("accepted")
			}
			if strings.Contains(err.Error(), secret) {
				t.Errorf("the password is in %v", err)
			}
		})
	}
	if _, err := pbs.New(good); err != nil {
		t.Error(err)
	}
}

func TestErrorsAreWhatCallersDecideOn(t *testing.T) {
	for name, test := range map[string]struct {
		set  func(*scene)
		want error
		gets int // requests of the listing that reach the server
	}{
		"a wrong secret":       {func(s *scene) { s.server.RevokeToken("triplicate@pbs!night") }, backup.ErrCredentials, 1},
		"the server is down":   {func(s *scene) { s.server.SetDown(true) }, backup.ErrUnreachable, 0},
		"another certificate":  {func(s *scene) { s.must(s.server.Renew()) }, backup.ErrFingerprint, 0},
		"read-only is no harm": {func(s *scene) { s.store.SetMaintenance("read-only", "offsite") }, nil, 1},
		"offline":              {func(s *scene) { s.store.SetMaintenance("offline", "new disks") }, backup.ErrRefused, 1},
		"not permitted": {func(s *scene) {
			s.server.RevokeToken("triplicate@pbs!night")
			s.must(s.server.AddToken(token))
		}, backup.ErrForbidden, 1},
		"a permission that a handler misses comes as 400": {func(s *scene) {
			s.server.Fail(pbstest.Fault{Code: 400, Text: "missing permissions 'Datastore.Audit' on '/datastore/x'"})
		}, backup.ErrForbidden, 1},
		"one lost answer is asked for again": {func(s *scene) { s.server.Fail(pbstest.Fault{Late: true}) }, nil, 2},
		"so is one cut before":               {func(s *scene) { s.server.Fail(pbstest.Fault{}) }, nil, 2},
		"so is an internal error":            {func(s *scene) { s.server.Fail(pbstest.Fault{Code: 500, Times: 3}) }, nil, 4},
		"no answer at all":                   {func(s *scene) { s.server.Fail(pbstest.Fault{Times: -1}) }, backup.ErrUnreachable, 4},
		"a proxy without a server":           {func(s *scene) { s.server.Fail(pbstest.Fault{Code: 502, Times: -1}) }, backup.ErrUnreachable, 4},
		"a redirect is not followed": {func(s *scene) {
			s.server.Fail(pbstest.Fault{Code: 302, Text: "elsewhere"})
		}, backup.ErrRefused, 1},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			test.set(s)
			_, err := s.Backups(t.Context(), "")
			wantError(t, err, test.want)
			if got := s.server.Count("GET", "/snapshots"); got != test.gets {
				t.Errorf("%d requests, want %d", got, test.gets)
			}
		})
	}
}

func TestReadingWaitsLongerEachTime(t *testing.T) {
	s := newScene(t)
	s.server.SetDown(true)
	_, err := s.Backups(t.Context(), "vm/101")
	wantError(t, err, backup.ErrUnreachable)
	if diff := cmp.Diff([]time.Duration{time.Second, 3 * time.Second, 9 * time.Second}, s.waits); diff != "" {
		t.Errorf("waits (-want +got):\n%s", diff)
	}
}

func TestAnEndedContextIsTheErrorOfReading(t *testing.T) {
	s := newScene(t)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	_, err := s.Backups(ctx, "")
	wantError(t, err, context.Canceled)
	if errors.Is(err, backup.ErrUnreachable) {
		t.Errorf("%v blames the server", err)
	}
}

func TestWritesAreNeverRepeated(t *testing.T) {
	b := backup.GuestBackup{Group: "vm/101", Time: time.Date(2026, 11, 22, 1, 0, 3, 0, time.UTC)}
	for call, do := range map[string]func(*scene) error{
		"/prune": func(s *scene) error {
			_, err := s.PruneGroup(s.t.Context(), "vm/101", backup.Keep{Daily: 1}, false)
			return err
		},
		"/gc":     func(s *scene) error { _, err := s.StartGC(s.t.Context()); return err },
		"/verify": func(s *scene) error { _, err := s.StartVerify(s.t.Context(), &b); return err },
	} {
		for name, test := range map[string]struct {
			fault pbstest.Fault
			want  error
		}{
			"the answer is lost":        {pbstest.Fault{Late: true}, backup.ErrUnclear},
			"cut before it was done":    {pbstest.Fault{}, backup.ErrUnclear}, // who could tell
			"an internal error":         {pbstest.Fault{Code: 500, Text: "oops"}, backup.ErrUnclear},
			"a proxy gives up":          {pbstest.Fault{Code: 504}, backup.ErrUnclear},
			"refused":                   {pbstest.Fault{Code: 400, Text: "read-only maintenance mode: x"}, backup.ErrRefused},
			"the disk is full":          {pbstest.Fault{Code: 400, Text: "No space left on device (os error 28)"}, backup.ErrNoSpace},
			"not permitted":             {pbstest.Fault{Code: 403, Text: "permission check failed"}, backup.ErrForbidden},
			"the token was just pulled": {pbstest.Fault{Code: 401, Text: "authentication failed"}, backup.ErrCredentials},
		} {
			t.Run(call+", "+name, func(t *testing.T) {
				s := newScene(t)
				s.nights("vm/101", 3)
				test.fault.Method, test.fault.Path = "POST", call
				s.server.Fail(test.fault)
				wantError(t, do(s), test.want)
				if got := s.server.Count("POST", call); got != 1 {
					t.Errorf("%d requests, want 1", got)
				}
			})
		}
	}
}

// TestAWriteThatFindsNobodyIsUnreachable: connection refused is the one failure of
// a write after which it is certain that nothing was done.
func TestAWriteThatFindsNobodyIsUnreachable(t *testing.T) {
	l, err := new(net.ListenConfig).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	_ = l.Close()
	for name, url := range map[string]string{"connection refused": "https://" + addr, "no such host": "https://pbs.invalid:8007"} {
		t.Run(name, func(t *testing.T) {
			s := newScene(t)
			c := s.client(func(c *pbs.Config) { c.URL = url })
			_, err := c.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: 1}, false)
			wantError(t, err, backup.ErrUnreachable)
		})
	}
	t.Run("the server is down", func(t *testing.T) {
		s := newScene(t)
		s.nights("vm/101", 3)
		_, err := s.State(t.Context()) // a connection is open
		s.must(err)
		s.server.SetDown(true)
		_, err = s.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: 1}, false)
		wantError(t, err, backup.ErrUnreachable)
		s.server.SetDown(false)
		_, err = s.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: 1}, false)
		wantError(t, err, nil)
	})
}

func TestTheTokenIsReadAnewAndNeverShown(t *testing.T) {
	next, failed := "", error(nil)
	s := newScene(t, func(c *pbs.Config) { c.Token = func() (string, error) { return next, failed } })
	for name, test := range map[string]struct {
		token string
		err   error
		want  error
	}{
		"right":               {token: token},
		"right, with newline": {token: token + "\n"},
		"= for a colon":       {token: "triplicate@pbs!night=" + secret, want: backup.ErrCredentials},
		"no realm":            {token: "triplicate!night:" + secret, want: backup.ErrCredentials},
		"a header in it":      {token: token + "\r\nX: y", want: backup.ErrCredentials},
		"empty":               {want: backup.ErrCredentials},
		"unreadable":          {err: errors.New("no such file"), want: backup.ErrCredentials},
	} {
		t.Run(name, func(t *testing.T) {
			next, failed = test.token, test.err
			_, err := s.Backups(t.Context(), "")
			wantError(t, err, test.want)
		})
	}
}

// hostile answers every request the same way.
func hostile(t *testing.T, code int, body string) *pbs.Client {
	t.Helper()
	server := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.WriteHeader(code)
		_, _ = w.Write([]byte(strings.ReplaceAll(body, "ECHO", r.Header.Get("Authorization"))))
	}))
	t.Cleanup(server.Close)
	c, err := pbs.New(pbs.Config{
		URL: server.URL, Fingerprint: pin.Fingerprint(server.Certificate().Raw), Datastore: "backups-vm",
		Token: func() (string, error) { return token, nil },
		Wait:  func(context.Context, time.Duration) error { return nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestAHostileServerIsNotBelieved(t *testing.T) {
	const upid = "UPID:pbs:000002D1:000003B9:00000001:6740A1B2:verify:x:root@pam:"
	backups := func(c *pbs.Client) error { _, err := c.Backups(t.Context(), "vm/101"); return err }
	task := func(c *pbs.Client) error { _, err := c.Task(t.Context(), upid); return err }
	log := func(c *pbs.Client) error { _, err := c.TaskLog(t.Context(), upid, 5); return err }
	prune := func(c *pbs.Client) error {
		_, err := c.PruneGroup(t.Context(), "vm/101", backup.Keep{Daily: 1}, false)
		return err
	}
	for name, test := range map[string]struct {
		body string
		do   func(*pbs.Client) error
	}{
		"not JSON":                       {`<html>`, backups},
		"null is not an empty list":      {`{"data":null}`, backups},
		"no data":                        {`{}`, backups},
		"another type":                   {`{"data":{"a":1}}`, backups},
		"two documents":                  {`{"data":[]}{"data":[]}`, backups},
		"another group":                  {`{"data":[{"backup-type":"vm","backup-id":"102","backup-time":5}]}`, backups},
		"a path as ID":                   {`{"data":[{"backup-type":"vm","backup-id":"../x","backup-time":5}]}`, backups},
		"a time before time":             {`{"data":[{"backup-type":"vm","backup-id":"101","backup-time":-5}]}`, backups},
		"a time after time":              {`{"data":[{"backup-type":"vm","backup-id":"101","backup-time":99999999999999}]}`, backups},
		"another task":                   {`{"data":{"upid":"UPID:x","status":"running"}}`, task},
		"a status nobody knows":          {`{"data":{"upid":"` + upid + `","status":"dreaming"}}`, task},
		"a gap in the log":               {`{"data":[{"n":6,"t":"a"},{"n":8,"t":"b"}],"total":8}`, log},
		"marks of another group":         {`{"data":[{"backup-type":"ct","backup-id":"101","backup-time":5,"keep":true}]}`, prune},
		"a UPID where marks should be":   {`{"data":"` + upid + `"}`, prune},
		"an answer that does not end":    {strings.Repeat(" ", 17<<20), backups},
		"deeper than anybody wants":      {`{"data":` + strings.Repeat("[", 100_000), backups},
		"a task list where a log should": {`{"data":[{"n":"six"}]}`, log},
	} {
		t.Run(name, func(t *testing.T) {
			err := test.do(hostile(t, http.StatusOK, test.body))
			if err == nil {
				t.Fatal("believed")
			}
			if len(err.Error()) > 1500 {
				t.Errorf("an error of %d bytes", len(err.Error()))
			}
		})
	}
}

func TestAnErrorsTextIsBoundedAndClean(t *testing.T) {
	err := func() error {
		body := "no: ECHO \x1b[31m\nTASK OK " + strings.Repeat("é", 1<<20)
		_, err := hostile(t, http.StatusBadRequest, body).StartGC(t.Context())
		return err
	}()
	wantError(t, err, backup.ErrRefused)
	if len(err.Error()) > 1000 || strings.ContainsAny(err.Error(), "\x1b\n") {
		t.Errorf("error of %d bytes: %q", len(err.Error()), err)
	}
	if fmt.Sprintf("%+v", err) != err.Error() {
		t.Errorf("%%+v shows more: %+v", err)
	}
}

func TestFilesMayBeNamesAsTheSchemaSays(t *testing.T) {
	c := hostile(t, http.StatusOK, `{"data":[{"backup-type":"vm","backup-id":"101","backup-time":5,"files":["index.json.blob"],"size":3}]}`)
	got, err := c.Backups(t.Context(), "")
	if err != nil || len(got) != 1 || !got[0].Finished || got[0].Size != 3 {
		t.Errorf("%+v, %v", got, err)
	}
}

func TestWithoutAWaitTheClockIsWaitedForUntilTheContextEnds(t *testing.T) {
	s := newScene(t)
	c := s.client(func(c *pbs.Config) { c.Wait = nil })
	s.server.Fail(pbstest.Fault{Code: 500, Times: -1})
	ctx, cancel := context.WithTimeout(t.Context(), 1200*time.Millisecond)
	defer cancel()
	_, err := c.Backups(ctx, "")
	if err == nil || ctx.Err() == nil {
		t.Errorf("error %v before the context ended", err)
	}
	if n := s.server.Count("GET", "/snapshots"); n != 2 { // one second apart
		t.Errorf("%d requests, want 2", n)
	}
}
