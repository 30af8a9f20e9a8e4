package temporald

import (
	"crypto/sha256"
	"database/sql"
	"encoding/hex"
	"fmt"
	"os"
	"strings"

	"go.temporal.io/server/common/config"
	sqliteschema "go.temporal.io/server/schema/sqlite"
)

// checkSchema compares the file's schema with the one this server would make.
func checkSchema(path string) error {
	have, err := schemaOf(path)
	if err != nil {
		return fmt.Errorf("%w: cannot read %s: %w%s", ErrSchema, path, err, wayOut(path))
	}
	scratch, err := os.MkdirTemp("", "triplicate-schema")
	if err != nil {
		return fmt.Errorf("schema check: %w", err)
	}
	defer func() { _ = os.RemoveAll(scratch) }()
	fresh := &config.SQL{
		PluginName: "sqlite", DatabaseName: scratch + "/fresh.db", MaxConns: 1, MaxIdleConns: 1,
		ConnectAttributes: map[string]string{"mode": "rwc"},
	}
	if err := sqliteschema.SetupSchema(fresh); err != nil {
		return fmt.Errorf("schema check: %w", err)
	}
	want, err := schemaOf(fresh.DatabaseName)
	if err != nil {
		return fmt.Errorf("schema check: %w", err)
	}
	if have != want {
		return fmt.Errorf("%w: %s has schema %.8s, this triplicated needs %.8s%s", ErrSchema, path, have, want, wayOut(path))
	}
	return nil
}

// wayOut is safe: nothing in the file is the only copy of anything but history.
func wayOut(path string) string {
	return fmt.Sprintf(". Move it aside (mv %s %s.old; also its -wal and -shm) and start again: "+
		"a new one is made, schedules come from the config, and what is backed up is read from the pools; "+
		"only the history of past runs and pauses stay behind", path, path)
}

// schemaOf hashes the definitions in a database. The driver is the one that the
// server's plugin registers.
func schemaOf(path string) (string, error) {
	db, err := sql.Open("sqlite", "file:"+path+"?mode=ro")
	if err != nil {
		return "", err
	}
	defer func() { _ = db.Close() }()
	rows, err := db.Query("SELECT type, name, coalesce(sql, '') FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY type, name")
	if err != nil {
		return "", err
	}
	defer func() { _ = rows.Close() }()
	h := sha256.New()
	for rows.Next() {
		var kind, name, text string
		if err := rows.Scan(&kind, &name, &text); err != nil {
			return "", err
		}
		fmt.Fprintf(h, "%s %s %s\n", kind, name, strings.Join(strings.Fields(text), " "))
	}
	return hex.EncodeToString(h.Sum(nil)), rows.Err()
}

// checkpoint brings the write-ahead log into the file and removes it, so that
// the file alone can be renamed.
func checkpoint(path string) error {
	db, err := sql.Open("sqlite", "file:"+path)
	if err != nil {
		return err
	}
	if _, err := db.Exec("PRAGMA wal_checkpoint(TRUNCATE)"); err != nil {
		_ = db.Close()
		return err
	}
	return db.Close()
}

func removeDatabase(path string) {
	for _, suffix := range []string{"", "-wal", "-shm"} {
		_ = os.Remove(path + suffix)
	}
}
