package activities

import (
	"context"
	"io"

	"triplicate/internal/backup"
)

// Vault is one offsite target: internal/offsite over internal/s3. The manifests in
// the bucket are the truth; what it keeps locally is a cache and may be lost.
// Errors are those of internal/backup.
type Vault interface {
	// Points lists the newest manifest of every dataset, by listing keys only.
	Points(ctx context.Context) ([]backup.OffsitePoint, error)
	// Survey walks a mounted snapshot and compares it with the last manifest. It
	// uploads nothing.
	Survey(ctx context.Context, job backup.OffsiteJob) (backup.Survey, error)
	// Commit uploads what a survey found and, last of all, writes the manifest. Cut
	// off anywhere and called again, it puts no object twice: what arrived is
	// found by listing and adopted. Nothing in the bucket is deleted or made
	// invisible. progress gets the content bytes and objects done so far.
	Commit(ctx context.Context, job backup.OffsiteJob, s backup.Survey, progress func(bytes int64, objects int)) (backup.OffsiteResult, error)
	// Find looks a path up in the newest manifest of a dataset whose stamp is not
	// after at (empty: the newest). backup.ErrNotFound if the point or path is not there.
	Find(ctx context.Context, dataset, path string, at backup.Stamp) (backup.Entry, backup.ManifestHeader, error)
	// Fetch writes a file's content and checks its CRC; backup.ErrArchived if it
	// has to be thawed first. What was written before an error is to be thrown away.
	Fetch(ctx context.Context, dataset string, e backup.Entry, to io.Writer) error
	// Thaw asks for a restored copy for so many days; asked already is success.
	// The state says whether it is there yet.
	Thaw(ctx context.Context, dataset string, e backup.Entry, tier backup.Tier, days int) (backup.Restore, error)
}
