// Package triplicate holds the one file that both editors and the command need: the
// JSON Schema of the config. internal/config's tests write it from the config's types.
package triplicate

import _ "embed" // for the schema

// Schema is the JSON Schema (draft 2020-12) of triplicate.yaml.
//
//go:embed triplicate.schema.json
var Schema []byte
