package temporald

import (
	"fmt"

	"go.temporal.io/server/common/log/tag"
	"go.uber.org/zap"
)

// serverLogger gives the server the daemon's zap logger.
type serverLogger struct{ z *zap.Logger }

func fields(tags []tag.Tag) []zap.Field {
	f := make([]zap.Field, len(tags))
	for i, t := range tags {
		f[i] = zap.Any(t.Key(), t.Value())
	}
	return f
}

func (l serverLogger) Debug(msg string, tags ...tag.Tag)  { l.z.Debug(msg, fields(tags)...) }
func (l serverLogger) Info(msg string, tags ...tag.Tag)   { l.z.Info(msg, fields(tags)...) }
func (l serverLogger) Warn(msg string, tags ...tag.Tag)   { l.z.Warn(msg, fields(tags)...) }
func (l serverLogger) Error(msg string, tags ...tag.Tag)  { l.z.Error(msg, fields(tags)...) }
func (l serverLogger) DPanic(msg string, tags ...tag.Tag) { l.z.Error(msg, fields(tags)...) }

// Panic panics, as the server expects.
func (l serverLogger) Panic(msg string, tags ...tag.Tag) {
	l.z.Error(msg, fields(tags)...)
	panic(fmt.Sprintf("temporal server: %s", msg))
}

// Fatal ends the process, as the server expects; the log says that it was not us.
func (l serverLogger) Fatal(msg string, tags ...tag.Tag) {
	l.z.Fatal("the Temporal server gave up: "+msg, fields(tags)...)
}

// quietLogger silences a client that only waits for the server to come up.
type quietLogger struct{}

func (quietLogger) Debug(string, ...any) {}
func (quietLogger) Info(string, ...any)  {}
func (quietLogger) Warn(string, ...any)  {}
func (quietLogger) Error(string, ...any) {}
