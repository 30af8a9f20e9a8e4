// Package deploy holds what is installed beside the binaries, so that tests and the lab
// run with the very files that operators use.
package deploy

import "embed"

// S3 are the policies and rules for the bucket, in s3/: written for the bucket and
// prefix of triplicate.example.yaml.
//
//go:embed s3/*.json
var S3 embed.FS
