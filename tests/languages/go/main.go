// pgx v5. Arguments: base id, then pgx's default_query_exec_mode: cache_statement, cache_describe, describe_exec,
// exec, simple_protocol. Each step prints one line of JSON: {"step": ..., "ok": ..., "detail": ...}.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgtype"
	"github.com/jackc/pgx/v5/pgxpool"
)

var (
	ctx       = context.Background()
	base      int
	mode      string
	conn      *pgx.Conn
	megabyte  = strings.Repeat("Ω", 262144) + strings.Repeat("x", 524288)
	unicode   = "Zoë Ελλάδα 😀 \u0001 \\ ' \" $1 ; -- \t\n"
	nilString *string
	born      = time.Date(1985, 12, 10, 0, 0, 0, 0, time.UTC)
)

type step struct {
	name string
	act  func()
}

func main() {
	base, _ = strconv.Atoi(os.Args[1])
	mode = os.Args[2]
	conn = connect()
	for _, s := range steps {
		detail := attempt(s.act)
		if !conn.IsClosed() && conn.PgConn().TxStatus() != 'I' {
			conn.Exec(ctx, "ROLLBACK") // A failed step is not to fail the next one.
		}
		line, _ := json.Marshal(map[string]any{"step": s.name, "ok": detail == "", "detail": detail})
		fmt.Println(string(line))
	}
}

func connect() *pgx.Conn {
	c, err := pgx.Connect(ctx, "default_query_exec_mode="+mode)
	check(err)
	return c
}

// attempt says what went wrong, or nothing.
func attempt(act func()) (detail string) {
	defer func() {
		if e := recover(); e != nil {
			detail = fmt.Sprintf("%.1500v", e)
		}
	}()
	act()
	return ""
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}

func equal(got, want any) {
	if g, w := fmt.Sprint(got), fmt.Sprint(want); g != w {
		panic(fmt.Sprintf("got %.300s, want %.300s", g, w))
	}
}

func sqlstate(err error) string {
	var e *pgconn.PgError
	if errors.As(err, &e) {
		return e.Code
	}
	return fmt.Sprint(err)
}

func mail(i int) string { return fmt.Sprintf("canary-go-%s-%d@example.com", mode, i) }

func exec(sql string, args ...any) int64 {
	tag, err := conn.Exec(ctx, sql, args...)
	check(err)
	return tag.RowsAffected()
}

func fails(sql string, args ...any) string {
	_, err := conn.Exec(ctx, sql, args...)
	return sqlstate(err)
}

// ids reads a column of ids, relative to the base.
func ids(sql string, args ...any) []int {
	rows, err := conn.Query(ctx, sql, args...)
	check(err)
	found, err := pgx.CollectRows(rows, pgx.RowTo[int])
	check(err)
	for i := range found {
		found[i] -= base
	}
	return found
}

func text(sql string, args ...any) string {
	var value *string
	check(conn.QueryRow(ctx, sql, args...).Scan(&value))
	if value == nil {
		return "NULL"
	}
	return *value
}

// each reads (id, email) rows and compares them.
func each(rows pgx.Rows, err error) int {
	check(err)
	seen := 0
	var id int
	var email string
	_, err = pgx.ForEachRow(rows, []any{&id, &email}, func() error {
		equal(email, mail(id-base))
		seen++
		return nil
	})
	check(err)
	return seen
}

var steps = []step{
	{"insert", func() {
		put := "INSERT INTO customers (id, name, email, ssn, birth_date, balance) VALUES ($1, $2, $3, $4, $5, $6)"
		balance := pgtype.Numeric{}
		check(balance.Scan("100.50"))
		equal(exec(put, base, "Ann", mail(0), "123-45-6789", born, balance), 1)
		var email, ssn *string
		returning := "INSERT INTO customers (id, name, email, ssn) VALUES ($1, $2, $3, $4) RETURNING email, ssn"
		check(conn.QueryRow(ctx, returning, base+1, "Ben", mail(1), nil).Scan(&email, &ssn))
		equal(*email, mail(1))
		equal(ssn == nil, true)
	}},
	{"read", func() {
		rows, err := conn.Query(ctx, "SELECT email, ssn, birth_date, balance FROM customers WHERE id = $1", base)
		check(err)
		types := []uint32{}
		for _, f := range rows.FieldDescriptions() {
			types = append(types, f.DataTypeOID)
		}
		equal(types, []uint32{25, 25, 1082, 1700})
		rows.Next()
		var email, ssn string
		var birth time.Time
		var balance pgtype.Numeric
		check(rows.Scan(&email, &ssn, &birth, &balance))
		rows.Close()
		equal([]any{email, ssn, birth}, []any{mail(0), "123-45-6789", born})
		float, _ := balance.Float64Value()
		equal(float.Float64, 100.5)
	}},
	{"lookup", func() {
		for _, i := range []int{0, 1, 0, 1} {
			equal(ids("SELECT id FROM customers WHERE email = $1", mail(i)), []int{i})
		}
		equal(ids("SELECT id FROM customers WHERE email = ANY($1) ORDER BY id", []string{mail(1), mail(0), "x"}), []int{0, 1})
		equal(ids("SELECT id FROM customers WHERE birth_date = $1 AND id = $2", born, base), []int{0})
		equal(len(ids("SELECT id FROM customers WHERE email = $1", "nobody")), 0)
	}},
	{"prepare", func() {
		described, err := conn.Prepare(ctx, "find", "SELECT id, email, balance FROM customers WHERE email = $1 AND birth_date = $2")
		check(err)
		equal(described.ParamOIDs, []uint32{25, 1082})
		equal([]uint32{described.Fields[1].DataTypeOID, described.Fields[2].DataTypeOID}, []uint32{25, 1700})
		var id int
		var email string
		check(conn.QueryRow(ctx, "find", mail(0), born).Scan(&id, &email, nil))
		equal([]any{id, email}, []any{base, mail(0)})
		check(conn.Deallocate(ctx, "find"))
		check(conn.DeallocateAll(ctx))
	}},
	{"modes", func() {
		for _, m := range []pgx.QueryExecMode{
			pgx.QueryExecModeCacheStatement, pgx.QueryExecModeCacheDescribe, pgx.QueryExecModeDescribeExec,
			pgx.QueryExecModeExec, pgx.QueryExecModeSimpleProtocol,
		} {
			equal(ids("SELECT id FROM customers WHERE email = $1 AND birth_date = $2", m, mail(0), born), []int{0})
			equal(exec("UPDATE customers SET ssn = $1, birth_date = $2 WHERE id = $3", m, "m", born, base), 1)
		}
	}},
	{"upsert", func() {
		var id int
		var ssn string
		upsert := `INSERT INTO customers (id, name, email, ssn) VALUES ($1, $2, $3, $4)
			ON CONFLICT (email) DO UPDATE SET ssn = excluded.ssn, name = excluded.name RETURNING id, ssn`
		check(conn.QueryRow(ctx, upsert, base+99, "Ann", mail(0), "999-99-9999").Scan(&id, &ssn))
		equal([]any{id, ssn}, []any{base, "999-99-9999"})
		equal(exec("UPDATE customers SET balance = $1 WHERE email = $2", "7.25", mail(0)), 1)
	}},
	{"batch", func() {
		batch := &pgx.Batch{}
		for i := range 500 {
			batch.Queue("INSERT INTO customers (id, name, email, birth_date) VALUES ($1, $2, $3, $4)", base+1000+i, "batch", mail(1000+i), born)
		}
		batch.Queue("SELECT id, email FROM customers WHERE email = $1", mail(1250))
		batch.Queue("SELECT id, email FROM customers WHERE id >= $1 AND id < $2", base+1000, base+1100)
		results := conn.SendBatch(ctx, batch)
		for range 500 {
			tag, err := results.Exec()
			check(err)
			equal(tag.RowsAffected(), 1)
		}
		equal(each(results.Query()), 1)
		equal(each(results.Query()), 100)
		check(results.Close())
	}},
	{"error in a batch", func() {
		batch := &pgx.Batch{}
		batch.Queue("INSERT INTO customers (id, name, email) VALUES ($1, 'x', $2)", base+50, mail(50))
		batch.Queue("INSERT INTO customers (id, name, email) VALUES ($1, 'x', $2)", base+51, mail(0))
		batch.Queue("SELECT email FROM customers WHERE id = $1", base)
		equal(sqlstate(conn.SendBatch(ctx, batch).Close()), "23505")
		equal(len(ids("SELECT id FROM customers WHERE email = $1", mail(50))), 0)
	}},
	{"copy in", func() {
		// CopyFrom writes the binary format, by the types that it asks the server for.
		source := pgx.CopyFromSlice(500, func(i int) ([]any, error) {
			return []any{base + 2000 + i, "copied", mail(2000 + i), born}, nil
		})
		copied, err := conn.CopyFrom(ctx, pgx.Identifier{"customers"}, []string{"id", "name", "email", "birth_date"}, source)
		check(err)
		equal(copied, 500)
		equal(ids("SELECT id FROM customers WHERE email = $1 AND birth_date = $2", mail(2250), born), []int{2250})
		lines := strings.NewReader(fmt.Sprintf("%d\ttext\t%s\n", base+2600, mail(2600)))
		tag, err := conn.PgConn().CopyFrom(ctx, lines, "COPY customers (id, name, email) FROM STDIN")
		check(err)
		equal(tag.RowsAffected(), 1)
		equal(each(conn.Query(ctx, "DELETE FROM customers WHERE id >= $1 AND id < $2 RETURNING id, email", base+2000, base+3000)), 501)
	}},
	{"copy out", func() {
		var out strings.Builder
		query := fmt.Sprintf("COPY (SELECT id, email FROM customers WHERE id BETWEEN %d AND %d ORDER BY id) TO STDOUT", base+1000, base+1499)
		tag, err := conn.PgConn().CopyTo(ctx, &out, query)
		check(err)
		equal(tag.RowsAffected(), 500)
		equal(strings.Split(out.String(), "\n")[7], fmt.Sprintf("%d\t%s", base+1007, mail(1007)))
	}},
	{"paginate", func() {
		seen, after := 0, base+999
		for {
			page := ids("SELECT id FROM customers WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3", after, base+1500, 120)
			if len(page) == 0 {
				break
			}
			equal(text("SELECT email FROM customers WHERE id = $1", base+page[0]), mail(page[0]))
			seen += len(page)
			after = base + page[len(page)-1]
		}
		equal(seen, 500)
	}},
	{"cursor", func() {
		tx, err := conn.Begin(ctx)
		check(err)
		_, err = tx.Exec(ctx, fmt.Sprintf("DECLARE c CURSOR FOR SELECT id, email FROM customers WHERE id BETWEEN %d AND %d", base+1000, base+1499))
		check(err)
		seen := 0
		for {
			read := each(tx.Query(ctx, "FETCH 70 FROM c"))
			if read == 0 {
				break
			}
			seen += read
		}
		check(tx.Commit(ctx))
		equal(seen, 500)
	}},
	{"transaction", func() {
		tx, err := conn.BeginTx(ctx, pgx.TxOptions{IsoLevel: pgx.Serializable})
		check(err)
		_, err = tx.Exec(ctx, "UPDATE customers SET email = $1 WHERE id = $2", mail(77), base)
		check(err)
		equal(ids("SELECT id FROM customers WHERE email = $1", mail(77)), []int{0})
		check(tx.Rollback(ctx))
		equal(text("SELECT email FROM customers WHERE id = $1", base), mail(0))
	}},
	{"savepoint", func() {
		check(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			_, err := tx.Exec(ctx, "UPDATE customers SET ssn = $1 WHERE id = $2", "kept", base)
			check(err)
			lost := pgx.BeginFunc(ctx, tx, func(inner pgx.Tx) error {
				_, err := inner.Exec(ctx, "UPDATE customers SET ssn = $1 WHERE id = $2", "lost", base)
				check(err)
				_, err = inner.Exec(ctx, "SELECT email, 1 / $1::int FROM customers", 0)
				return err
			})
			equal(sqlstate(lost), "22012")
			return nil
		}))
		equal(text("SELECT ssn FROM customers WHERE id = $1", base), "kept")
	}},
	{"error in a transaction", func() {
		tx, err := conn.Begin(ctx)
		check(err)
		equal(fails("INSERT INTO customers (id, name, email) VALUES ($1, 'x', $2)", base+50, mail(0)), "23505")
		equal(fails("SELECT email FROM customers WHERE id = $1", base), "25P02")
		check(tx.Rollback(ctx))
		equal(fails("UPDATE customers SET birth_date = '2021-02-30' WHERE id = $1", base), "22008")
		equal(fails("SELECT id FROM customers WHERE lower(ssn) = $1", "x"), "0A000")
		equal(text("SELECT email FROM customers WHERE id = $1", base), mail(0))
	}},
	{"cancel", func() {
		other := connect()
		go func() {
			time.Sleep(300 * time.Millisecond)
			check(other.PgConn().CancelRequest(ctx))
		}()
		_, err := other.Exec(ctx, "SELECT email, pg_sleep(30) FROM customers WHERE id = $1", base)
		equal(sqlstate(err), "57014")
		var email string
		check(other.QueryRow(ctx, "SELECT email FROM customers WHERE id = $1", base).Scan(&email))
		equal(email, mail(0))
		short, stop := context.WithTimeout(ctx, 300*time.Millisecond)
		defer stop()
		_, err = other.Exec(short, "SELECT email, pg_sleep(30) FROM customers WHERE id = $1", base)
		equal(errors.Is(err, context.DeadlineExceeded), true)
	}},
	{"notifications", func() {
		other := connect()
		_, err := other.Exec(ctx, "LISTEN news_go")
		check(err)
		exec("SELECT pg_notify('news_go', $1) FROM customers WHERE email = $2", "hello", mail(0))
		limited, stop := context.WithTimeout(ctx, 10*time.Second)
		defer stop()
		heard, err := other.WaitForNotification(limited)
		check(err)
		equal([]any{heard.Channel, heard.Payload, heard.PID}, []any{"news_go", "hello", conn.PgConn().PID()})
		check(other.Close(ctx))
	}},
	{"large objects", func() {
		check(pgx.BeginFunc(ctx, conn, func(tx pgx.Tx) error {
			objects := tx.LargeObjects()
			oid, err := objects.Create(ctx, 0)
			check(err)
			object, err := objects.Open(ctx, oid, pgx.LargeObjectModeRead|pgx.LargeObjectModeWrite)
			check(err)
			_, err = object.Write([]byte("\x5e\xa1\x01\x00 a large object"))
			check(err)
			_, err = object.Seek(0, 0)
			check(err)
			read := make([]byte, 18)
			_, err = object.Read(read)
			check(err)
			equal(string(read), "\x5e\xa1\x01\x00 a large objec")
			return objects.Unlink(ctx, oid)
		}))
	}},
	{"values", func() {
		values := []string{unicode, "", megabyte}
		for i, value := range values {
			exec("INSERT INTO customers (id, name, email, ssn) VALUES ($1, 'v', $2, $3)", base+60+i, fmt.Sprint(i, value[:min(40, len(value))]), value)
			equal(text("SELECT ssn FROM customers WHERE id = $1", base+60+i) == value, true)
		}
		exec("INSERT INTO customers (id, name, email, ssn) VALUES ($1, 'v', $2, $3)", base+63, nil, nil)
		equal(text("SELECT ssn FROM customers WHERE id = $1", base+63), "NULL")
		equal(ids("SELECT id FROM customers WHERE email = $1", "0"+unicode[:40]), []int{60})
		equal(exec("DELETE FROM customers WHERE id >= $1 AND id < $2", base+60, base+70), 4)
	}},
	{"roles", func() {
		support, err := pgx.Connect(ctx, "user=support_login default_query_exec_mode="+mode)
		check(err)
		var email string
		var birth time.Time
		var ssn, balance *string
		sql := "SELECT email, ssn, birth_date, balance FROM customers WHERE email = $1"
		check(support.QueryRow(ctx, sql, mail(1000)).Scan(&email, &ssn, &birth, &balance))
		equal([]any{email, ssn, birth, balance}, []any{mail(1000), nilString, time.Date(1985, 1, 1, 0, 0, 0, 0, time.UTC), nilString})
		_, err = support.Exec(ctx, "UPDATE customers SET email = $1 WHERE id = $2", "x", base)
		equal(sqlstate(err), "42501")
		check(support.Close(ctx))
	}},
	{"pool", func() {
		pool, err := pgxpool.New(ctx, "pool_max_conns=4 default_query_exec_mode="+mode)
		check(err)
		answers := make(chan string, 40)
		for i := range 40 {
			go func() {
				var id int
				err := pool.QueryRow(ctx, "SELECT id FROM customers WHERE email = $1", mail(1000+i)).Scan(&id)
				answers <- fmt.Sprint(id-base-1000-i, err)
			}()
		}
		for range 40 {
			equal(<-answers, fmt.Sprint(0, nil))
		}
		pool.Close()
	}},
	{"pipeline", func() {
		pipeline := conn.PgConn().StartPipeline(ctx)
		sql := "SELECT email FROM customers WHERE email = $1"
		for _, i := range []int{1000, 1001} {
			pipeline.SendQueryParams(sql, [][]byte{[]byte(mail(i))}, []uint32{25}, nil, nil)
		}
		pipeline.SendQueryParams("SELECT email, 1 / $1::int FROM customers", [][]byte{[]byte("0")}, nil, nil, nil)
		check(pipeline.Sync())
		pipeline.SendQueryParams(sql, [][]byte{[]byte(mail(1002))}, nil, nil, nil)
		check(pipeline.Sync())
		found := []string{}
		for {
			result, err := pipeline.GetResults()
			if err != nil {
				found = append(found, sqlstate(err))
				continue
			}
			if result == nil {
				break
			}
			if reader, ok := result.(*pgconn.ResultReader); ok {
				read := reader.Read()
				if read.Err != nil {
					found = append(found, sqlstate(read.Err))
				} else {
					found = append(found, string(read.Rows[0][0]))
				}
			}
		}
		check(pipeline.Close())
		equal(found, []string{mail(1000), mail(1001), "22012", mail(1002)})
	}},
	{"delete", func() {
		equal(exec("DELETE FROM customers WHERE id >= $1 AND id < $2", base, base+10000), 502)
		check(conn.Close(ctx))
	}},
}
