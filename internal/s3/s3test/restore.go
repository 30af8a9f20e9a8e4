package s3test

import (
	"encoding/xml"
	"fmt"
	"net/http"
	"time"
)

// thaw is a restore that was asked for.
type thaw struct {
	Ready time.Time // when the copy is there
	Until time.Time // when it goes away again
}

// speeds is how long a restore takes.
// https://docs.aws.amazon.com/AmazonS3/latest/userguide/restoring-objects-retrieval-options.html
var speeds = map[string]map[string]time.Duration{
	"GLACIER":      {"Bulk": 5 * time.Hour, "Standard": 3 * time.Hour, "Expedited": time.Minute},
	"DEEP_ARCHIVE": {"Bulk": 48 * time.Hour, "Standard": 12 * time.Hour},
}

// thawed is the x-amz-restore header, and whether the content can be read.
func (v *version) thawed(now time.Time) (header string, readable bool) {
	switch {
	case speeds[v.Class] == nil:
		return "", true
	case v.Thaw == nil || !now.Before(v.Thaw.Until):
		return "", false
	case now.Before(v.Thaw.Ready):
		return `ongoing-request="true"`, false
	}
	return fmt.Sprintf(`ongoing-request="false", expiry-date="%s"`, v.Thaw.Until.UTC().Format(http.TimeFormat)), true
}

func (s *Server) restoreObject(c *call) error {
	body, err := c.document()
	if err != nil {
		return err
	}
	var ask struct {
		XMLName xml.Name `xml:"RestoreRequest"`
		Days    int
		Tier    string
		Job     struct{ Tier string } `xml:"GlacierJobParameters"`
	}
	if err := decode(body, &ask); err != nil {
		return err
	}
	tier := ask.Job.Tier
	if tier == "" {
		tier = "Standard"
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	v, err := s.lookup(c)
	if err != nil {
		return err
	}
	took, ok := speeds[v.Class][tier]
	header, readable := v.thawed(c.now)
	switch {
	case speeds[v.Class] == nil:
		return &Error{Status: http.StatusForbidden, Code: "InvalidObjectState", Message: "Restore is not allowed for the object's current storage class"}
	case !ok:
		return malformed()
	case ask.Days < 1:
		return invalid("restoration days should be at least 1")
	case header != "" && !readable:
		return &Error{Status: http.StatusConflict, Code: "RestoreAlreadyInProgress", Message: "Object restore is already in progress"}
	}
	status, next := http.StatusAccepted, thaw{Ready: c.now.Add(time.Duration(float64(took) * s.opt.ThawFactor))}
	if readable {
		status, next.Ready = http.StatusOK, v.Thaw.Ready
		next.Until = expiry(c.now, ask.Days)
	} else {
		next.Until = expiry(next.Ready, ask.Days)
	}
	old := v.Thaw
	v.Thaw = &next
	if err := s.save(v, "versions", c.bucketName, fmt.Sprintf("%016x", v.Serial)); err != nil {
		v.Thaw = old
		return err
	}
	c.reply(status, "", nil)
	return nil
}

// expiry is when a restored copy goes away: after so many days, at the next
// midnight UTC, as Amazon rounds it.
func expiry(ready time.Time, days int) time.Time {
	end := ready.UTC().AddDate(0, 0, days)
	midnight := end.Truncate(24 * time.Hour)
	if midnight.Before(end) {
		midnight = midnight.Add(24 * time.Hour)
	}
	return midnight
}
