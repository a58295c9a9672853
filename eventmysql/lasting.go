package eventmysql

import (
	"context"
	"database/sql"
	"encoding/hex"

	"github.com/google/uuid"

	"github.com/seed46dd6f11/events/eventmodels"
)

// Without the binary log InnoDB shows a commit to others as soon as its record is
// in the log's buffer, some milliseconds before that is on the disk: many
// transactions share a flush. A server that crashes in these milliseconds takes
// back what others have seen. With the binary log a commit is shown when it is
// there, and sync_binlog = 1 says that this is the disk.
//
// The log is one sequence: when a commit is on the disk, so are all that were
// shown before it was made. Whoever must not act on what a crash takes back
// therefore commits a change of its own first, and waits for that.

// showsEarly is whether the server shows commits that a crash can take back,
// although they are to be durable (innodb_flush_log_at_trx_commit = 1).
const showsEarly = `NOT (@@GLOBAL.log_bin AND @@GLOBAL.sync_binlog = 1)`

// flushStatement changes the lease's row, or makes it. A microsecond more does not
// matter: the lease's holder has its own clock for its end.
const flushStatement = `
INSERT INTO events_lease (scope, owner, epoch, producer_id, cluster_id, expires_at) VALUES (?, '', 0, -1, '', 0)
ON DUPLICATE KEY UPDATE expires_at = expires_at + 1`

// flush returns when everything that the connection has seen is on the disk.
func flush(ctx context.Context, conn *sql.Conn, scope string) error {
	_, err := conn.ExecContext(ctx, flushStatement, []byte(scope))
	return err
}

// The mark is nobody's. A change of the marks that were found would be one less
// statement, and a deadlock where two deliveries have found the same.
//
// A parameter in a list of columns has no type of its own: servers may take its
// bytes for text, and look whether they are. What UNHEX returns is binary.
const (
	insertNobodys = `INSERT INTO events_marks (k, token, done_at) SELECT UNHEX(?), 0, ` + now + ` FROM DUAL WHERE ` + showsEarly
	deleteNobodys = `DELETE FROM events_marks WHERE k = UNHEX(?)`
)

// Outlast implements [eventdb.Outlaster].
func (dialect) Outlast(ctx context.Context, tx eventmodels.AbstractTX) error {
	id := uuid.New()
	k := hex.EncodeToString(id[:])
	result, err := tx.ExecContext(ctx, insertNobodys, k)
	if err != nil {
		return err
	}
	if inserted, err := result.RowsAffected(); err != nil || inserted == 0 {
		return err
	}
	_, err = tx.ExecContext(ctx, deleteNobodys, k)
	return err
}
