package pbstest

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
)

func TestTheWholeSchemaIsUnderstood(t *testing.T) {
	if VendorDir() == "" {
		t.Skip("the schema is NOT read: no shared/proxmox-api (set TRIPLICATE_PROXMOX_API)")
	}
	s, err := loadSchema(VendorDir())
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for path, methods := range s.raw {
		for name := range methods {
			n++
			if _, err := s.method(name, path); err != nil {
				t.Error(err)
			}
		}
	}
	if n < 100 {
		t.Errorf("%d calls", n)
	}
}

func TestRequestsOutsideTheSchemaAreRefusedAndNoticed(t *testing.T) {
	if VendorDir() == "" {
		t.Skip("the schema's check is NOT tested: no shared/proxmox-api (set TRIPLICATE_PROXMOX_API)")
	}
	prune := func(words ...string) url.Values { return values(append(words, "backup-type=vm", "backup-id=101")...) }
	for name, test := range map[string]struct {
		method, path string
		form         url.Values
		text         string
	}{
		"an unknown parameter": {"POST", smith + "/prune", prune("keep-minutely=3"),
			"parameter verification failed - 'keep-minutely': schema does not allow additional properties."},
		"one of Proxmox VE's": {"GET", "/nodes/localhost/tasks?source=active", nil,
			"parameter verification failed - 'source': schema does not allow additional properties."},
		"a zero":       {"POST", smith + "/prune", prune("keep-daily=0"), "'keep-daily': value must have a minimum value of 1 (got 0)"},
		"not a number": {"POST", smith + "/prune", prune("keep-daily=x"), "'keep-daily': invalid digit found in string"},
		"a fraction":   {"POST", smith + "/prune", prune("keep-daily=1.5"), "'keep-daily': invalid digit found in string"},
		"not a bool":   {"POST", smith + "/prune", prune("dry-run=maybe"), "'dry-run': unable to parse boolean option."},
		"twice":        {"POST", smith + "/prune", prune("keep-daily=1", "keep-daily=2"), "'keep-daily': duplicate parameter."},
		"no such type": {"POST", smith + "/prune", values("backup-type=qemu", "backup-id=101"), "'backup-type': value 'qemu' is not defined in the enumeration."},
		"missing, both": {"POST", smith + "/prune", values("keep-daily=1"),
			"parameter verification errors\n\nparameter 'backup-id': parameter is missing and it is not optional.\nparameter 'backup-type': parameter is missing"},
		"not a UPID":       {"GET", "/nodes/localhost/tasks/UPID:x/status", nil, "'upid': value must be at least 36 characters long"},
		"a wild namespace": {"GET", smith + "/snapshots?ns=a//b", nil, "'ns': value does not match the regex pattern"},
		"a mode nobody knows": {"PUT", "/config/datastore/smith", values("maintenance-mode=type=asleep"),
			"'maintenance-mode': value 'asleep' is not defined in the enumeration."},
		"a comment too long": {"PUT", "/config/datastore/smith", values("comment=" + strings.Repeat("x", 129)), "'comment': value may only be 128 characters long"},
		"no such path":       {"GET", "/admin/datastore/smith/snapshot", nil, "Path '/api2/json/admin/datastore/smith/snapshot' not found."},
		"no such method":     {"DELETE", smith + "/gc", nil, "not found."},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t, Config{}, Datastore{})
			code, body := b.ask(admin, test.method, test.path, test.form)
			if code != http.StatusBadRequest && code != http.StatusNotFound || !strings.Contains(body, test.text) {
				t.Errorf("%d %s\nwant %s", code, body, test.text)
			}
			if len(b.Violations()) != 1 {
				t.Errorf("violations: %q", b.Violations())
			}
		})
	}
}

func TestAnswersOutsideTheSchemaAreNoticed(t *testing.T) {
	if VendorDir() == "" {
		t.Skip("the check of answers is NOT tested: no shared/proxmox-api (set TRIPLICATE_PROXMOX_API)")
	}
	s, err := loadSchema(VendorDir())
	if err != nil {
		t.Fatal(err)
	}
	for body, ok := range map[string]bool{
		`{"data":{"version":"4.2","release":"1","repoid":"0"}}`:         true,
		`{"data":{"version":"4.2","release":"1"}}`:                      false,
		`{"data":{"version":"4.2","release":1,"repoid":"0"}}`:           false,
		`{"data":{"version":"4.2","release":"1","repoid":"0","new":1}}`: false,
		`{"data":{"version":true,"release":"1","repoid":"0"}}`:          false,
		`{"data":null}`: false,
		`{"data":[]}`:   false,
		`{"data":{}`:    false,
	} {
		if err := s.checkAnswer("GET", "/version", []byte(body)); (err == nil) != ok {
			t.Errorf("%s: %v", body, err)
		}
	}
	if err := s.checkAnswer("GET", "/config/prune", []byte(`{"data":[{"id":"abc","store":"smith","schedule":"daily","keep-last":0}]}`)); err == nil {
		t.Error("a number below the minimum passes")
	}
}
