// Package offsite keeps copies of datasets in a bucket. It walks a snapshot that
// somebody mounted, compares it with the last manifest, uploads what is new and,
// last of all, writes the next manifest: the list of every path with the version of
// the object that holds its content. The manifests are the truth; what is kept on
// disk is a cache of them and a journal of the upload in progress.
//
// A walk, a manifest and a listing of the bucket have the same order (backup.Order),
// so that they are compared as streams: memory is that of one directory, not of a
// dataset. Cut off anywhere and called again, a step goes on where it was, and no
// object is put twice.
//
// Objects have rclone's keys and metadata, so that rclone alone can bring the files
// back. The package knows nothing of ZFS, Temporal or the SDK of S3.
package offsite
