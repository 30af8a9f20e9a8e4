package pbs

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/url"
	"slices"
	"strconv"
	"time"

	"triplicate/internal/backup"
)

// manifest is the file that a backup gets last: with it, the backup is finished.
const manifest = "index.json.blob"

// keepAll stands for backup.All: more backups than any group has, and within the
// 32 bits that every part of the server takes.
const keepAll = math.MaxInt32

// Backups lists the backups of a group, such as vm/101, or of all (""), newest
// first.
func (c *Client) Backups(ctx context.Context, group string) ([]backup.GuestBackup, error) {
	list, err := c.backups(ctx, group)
	if err != nil {
		return nil, fmt.Errorf("backups %s: %w", cmp.Or(group, "of all guests"), err)
	}
	return list, nil
}

func (c *Client) backups(ctx context.Context, group string) ([]backup.GuestBackup, error) {
	q := c.params()
	if group != "" {
		if err := setGroup(q, group); err != nil {
			return nil, err
		}
	}
	got, err := get[[]snapshotRow](ctx, c, c.path("snapshots"), q)
	if err != nil {
		return nil, err
	}
	out := make([]backup.GuestBackup, 0, len(got.Data))
	for _, r := range got.Data {
		b := backup.GuestBackup{
			Notes: oneLine(r.Comment, maxText), Owner: oneLine(r.Owner, 128), Protected: r.Protected,
			Finished: slices.Contains(r.Files, manifest),
		}
		if b.Group, b.Time, err = r.place(); err != nil {
			return nil, err
		}
		if group != "" && b.Group != group {
			return nil, fmt.Errorf("the server listed %s", b.Group)
		}
		if b.Finished {
			b.Size = max(r.Size, 0)
		}
		if r.Verification != nil && slices.Contains([]string{backup.VerifiedOK, backup.VerifiedFailed}, r.Verification.State) {
			b.Verified = r.Verification.State
		}
		out = append(out, b)
	}
	slices.SortFunc(out, func(a, b backup.GuestBackup) int {
		return cmp.Or(b.Time.Compare(a.Time), cmp.Compare(a.Group, b.Group))
	})
	return out, nil
}

// where is what every row about a backup has.
type where struct {
	Type string `json:"backup-type"`
	ID   string `json:"backup-id"`
	Time int64  `json:"backup-time"`
}

// place checks which backup a row is about.
func (w where) place() (group string, at time.Time, err error) {
	group = w.Type + "/" + w.ID
	if !groupForm.MatchString(group) || w.Time < 1 || w.Time > math.MaxUint32 {
		return "", time.Time{}, errors.New("the server listed a backup without a group or time")
	}
	return group, time.Unix(w.Time, 0).UTC(), nil
}

type snapshotRow struct {
	where
	Size         int64     `json:"size"`
	Comment      string    `json:"comment"`
	Owner        string    `json:"owner"`
	Protected    bool      `json:"protected"`
	Files        fileNames `json:"files"`
	Verification *struct {
		State string `json:"state"`
	} `json:"verification"`
}

// fileNames are the files of a backup. The schema says strings; the server sends
// objects with a filename (pbs-api-types, BackupContent).
type fileNames []string

// UnmarshalJSON takes either.
func (f *fileNames) UnmarshalJSON(data []byte) error {
	var names []string
	if json.Unmarshal(data, &names) == nil {
		*f = names
		return nil
	}
	var files []struct {
		Filename string `json:"filename"`
	}
	if err := json.Unmarshal(data, &files); err != nil {
		return err
	}
	for _, file := range files {
		*f = append(*f, file.Filename)
	}
	return nil
}

// PruneGroup prunes one group by the server's own rule (backup.PBSPrune), or only
// says what it would do; the marks are newest first. Repeating it is harmless. A
// keep without any tier is refused here: the server would keep everything.
func (c *Client) PruneGroup(ctx context.Context, group string, keep backup.Keep, dryRun bool) ([]backup.PruneMark, error) {
	marks, err := c.pruneGroup(ctx, group, keep, dryRun)
	if err != nil {
		return nil, fmt.Errorf("prune %s: %w", group, err)
	}
	return marks, nil
}

func (c *Client) pruneGroup(ctx context.Context, group string, keep backup.Keep, dryRun bool) ([]backup.PruneMark, error) {
	form := c.params()
	if err := setGroup(form, group); err != nil {
		return nil, err
	}
	if err := setKeep(form, keep); err != nil {
		return nil, err
	}
	if dryRun {
		form.Set("dry-run", "1")
	}
	rows, err := post[[]pruneRow](ctx, c, c.path("prune"), form)
	if err != nil {
		return nil, err
	}
	out := make([]backup.PruneMark, 0, len(rows))
	for _, r := range rows {
		of, at, err := r.place()
		if err == nil && of != group {
			err = fmt.Errorf("the server told of %s", of)
		}
		if err != nil {
			return nil, fmt.Errorf("%w: %w", backup.ErrUnclear, err)
		}
		out = append(out, backup.PruneMark{Time: at, Keep: r.Keep, Protected: r.Protected})
	}
	slices.SortFunc(out, func(a, b backup.PruneMark) int { return b.Time.Compare(a.Time) })
	return out, nil
}

type pruneRow struct {
	where
	Keep      bool `json:"keep"`
	Protected bool `json:"protected"`
}

// setKeep sets the keep-* options. The server takes no zero: a tier that is off is
// left out.
func setKeep(form url.Values, k backup.Keep) error {
	if k == (backup.Keep{}) {
		return fmt.Errorf("the keep has no tier, and then all would be kept: %w", backup.ErrRefused)
	}
	for name, n := range map[string]int{
		"keep-hourly": k.Hourly, "keep-daily": k.Daily, "keep-weekly": k.Weekly,
		"keep-monthly": k.Monthly, "keep-yearly": k.Yearly,
	} {
		switch {
		case n == backup.All:
			n = keepAll
		case n < 0:
			return fmt.Errorf("%s is %d: %w", name, n, backup.ErrRefused)
		}
		if n > 0 {
			form.Set(name, strconv.Itoa(n))
		}
	}
	return nil
}

func setGroup(form url.Values, group string) error {
	m := groupForm.FindStringSubmatch(group)
	if m == nil {
		return fmt.Errorf("%q is not a backup group: %w", oneLine(group, 80), backup.ErrRefused)
	}
	form.Set("backup-type", m[1])
	form.Set("backup-id", m[2])
	return nil
}
