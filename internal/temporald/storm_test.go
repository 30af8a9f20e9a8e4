package temporald

import (
	"context"
	"database/sql"
	"path/filepath"
	"sync"
	"testing"
	"time"
)

// TestDatabaseSurvivesCancelledQueries: the server's driver never replaces its one
// connection, so a connection that stays interrupted after a query ran into its
// deadline is an engine that is dead until the next restart. That happened, on a
// loaded machine, with modernc.org/sqlite 1.39; this is what keeps it from coming
// back.
func TestDatabaseSurvivesCancelledQueries(t *testing.T) {
	db, err := sql.Open("sqlite_temporal", "file:"+filepath.Join(t.TempDir(), "t.db")+
		"?_pragma=journal_mode(wal)&_pragma=busy_timeout(10000)&_txlock=immediate")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	db.SetMaxOpenConns(1)
	ctx := t.Context()
	if _, err := db.ExecContext(ctx, "create table t(a integer primary key, b blob)"); err != nil {
		t.Fatal(err)
	}
	fill := "with recursive n(i) as (select 1 union all select i+1 from n where i < 2000) insert into t(b) select randomblob(2000) from n"
	if _, err := db.ExecContext(ctx, fill); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for worker := range 16 {
		wg.Go(func() {
			for i := range 120 {
				// Deadlines that hit before, in the middle of, and after the work.
				short, cancel := context.WithTimeout(ctx, time.Duration((worker*7+i*13)%20)*time.Millisecond)
				interruptedWork(short, db)
				cancel()
			}
		})
	}
	wg.Wait()
	for range 10 {
		var n int
		if err := db.QueryRowContext(ctx, "select count(*) from t").Scan(&n); err != nil {
			t.Fatalf("after the storm: %v", err)
		}
	}
}

// interruptedWork is a transaction as the server's: a query, an update.
func interruptedWork(ctx context.Context, db *sql.DB) {
	tx, err := db.BeginTx(ctx, nil)
	if err != nil {
		return
	}
	defer func() { _ = tx.Rollback() }()
	rows, err := tx.QueryContext(ctx, "select a, randomblob(100) from t order by b")
	if err != nil {
		return
	}
	for n := 0; n < 50 && rows.Next(); n++ {
		var a int
		var b []byte
		if rows.Scan(&a, &b) != nil {
			break
		}
	}
	if rows.Err() != nil || rows.Close() != nil {
		return
	}
	if _, err := tx.ExecContext(ctx, "update t set b = randomblob(1000) where a % 7 = 0"); err == nil {
		_ = tx.Commit()
	}
}
