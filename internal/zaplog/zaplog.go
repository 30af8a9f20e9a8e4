// Package zaplog lets the Temporal SDK write to the daemon's zap logger.
package zaplog

import (
	"go.temporal.io/sdk/log"
	"go.uber.org/zap"
)

// New wraps z as a logger of the Temporal SDK; key-value pairs become fields.
func New(z *zap.Logger) log.Logger {
	return logger{z.WithOptions(zap.AddCallerSkip(1)).Sugar()}
}

type logger struct{ s *zap.SugaredLogger }

func (l logger) Debug(msg string, kv ...any) { l.s.Debugw(msg, kv...) }
func (l logger) Info(msg string, kv ...any)  { l.s.Infow(msg, kv...) }
func (l logger) Warn(msg string, kv ...any)  { l.s.Warnw(msg, kv...) }
func (l logger) Error(msg string, kv ...any) { l.s.Errorw(msg, kv...) }

// With keeps fields for later lines, as activities do with their type and ID.
func (l logger) With(kv ...any) log.Logger { return logger{l.s.With(kv...)} }
