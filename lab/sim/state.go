package main

import (
	"context"
	"strings"
	"time"

	"triplicate/internal/backup"
	"triplicate/internal/s3"
)

// state is what the servers have seen.
type state struct {
	// Vzdumps counts, for each guest and run key, the backups that were asked for.
	Vzdumps map[string]int `json:"vzdumps"`
	// Backups counts the backups of each group that the datastore has.
	Backups map[string]int `json:"backups"`
	// Versions counts the versions of each object's key.
	Versions   map[string]int `json:"versions"`
	Classes    map[string]int `json:"classes"` // objects by storage class
	Puts       int            `json:"puts"`
	Requests   int            `json:"requests"` // to the bucket
	Violations []string       `json:"violations"`
	Problem    string         `json:"problem,omitempty"`
}

func (s *servers) state() state {
	st := state{
		Vzdumps: map[string]int{}, Backups: map[string]int{}, Versions: map[string]int{}, Classes: map[string]int{},
		Violations: append(s.pve.Violations(), s.pbs.Violations()...),
		Puts:       s.s3.Requests("PutObject"), Requests: s.s3.Requests(""),
	}
	for _, r := range s.pve.Journal() {
		if r.Method == "POST" && strings.HasSuffix(r.Path, "/vzdump") {
			st.Vzdumps[strings.Join(r.Form["vmid"], ",")+" "+strings.Join(r.Form["notes-template"], " ")]++
		}
	}
	for _, b := range s.store.Backups() {
		if b.Finished {
			st.Backups[b.Group]++
		}
	}
	if err := s.objects(&st); err != nil {
		st.Problem = err.Error()
	}
	return st
}

// objects lists the bucket as any client would.
func (s *servers) objects(st *state) error {
	b, err := s3.Open(s3.Config{
		Bucket: bucket, Region: "eu-central-1", Endpoint: s.s3url, Tries: 1,
		Credentials: func() (string, string, string, error) { return accessKey, secretKey, "", nil },
	})
	if err != nil {
		return err
	}
	defer b.Close()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	return b.Versions(ctx, "", func(o backup.Object) error {
		st.Versions[o.Key]++
		if o.Latest && strings.HasPrefix(o.Key, "smith/hdd/data/") {
			st.Classes[o.Class]++
		}
		return nil
	})
}
