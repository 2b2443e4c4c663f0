// node-postgres. argv: base id, then how statements are sent: unnamed, named, pipeline.

import pg from 'pg'
import Cursor from 'pg-cursor'
import QueryStream from 'pg-query-stream'
import { from as copyFrom, to as copyTo } from 'pg-copy-streams'
import { pipeline } from 'node:stream/promises'
import { Readable, Writable } from 'node:stream'
import { assert, run, sqlstate, sleep, MEGABYTE, UNICODE } from './steps.mjs'

const base = Number(process.argv[2])
const mode = process.argv[3]
pg.types.setTypeParser(1082, (text) => text) // Dates as they are.

const options = { pipeline: mode === 'pipeline' }
const pool = new pg.Pool({ max: 4, ...options })
const client = new pg.Client(options)
await client.connect()
const plain = new pg.Client() // Portals are left open and COPY takes the wire: not with other queries in the pipeline.
await plain.connect()

let named = 0
const names = new Map()
function query(text, values) {
  if (mode !== 'named') return client.query(text, values)
  if (!names.has(text)) names.set(text, `statement ${named++}`)
  return client.query({ name: names.get(text), text, values })
}
const mail = (i) => `canary-node-${mode}-${i}@example.com`

await run({
  insert: async () => {
    const put = 'INSERT INTO customers (id, name, email, ssn, birth_date, balance) VALUES ($1, $2, $3, $4, $5, $6)'
    const result = await query(put, [base, 'Ann', mail(0), '123-45-6789', '1985-12-10', '100.50'])
    assert.equal(result.rowCount, 1)
    const returned = await query('INSERT INTO customers (id, name, email, ssn) VALUES ($1, $2, $3, $4) RETURNING email, ssn', [
      base + 1, 'Ben', mail(1), null,
    ])
    assert.deepEqual(returned.rows, [{ email: mail(1), ssn: null }])
  },
  read: async () => {
    const { rows, fields } = await query('SELECT email, ssn, birth_date, balance FROM customers WHERE id = $1', [base])
    assert.deepEqual(fields.map((f) => [f.name, f.dataTypeID, f.dataTypeSize, f.dataTypeModifier]), [
      ['email', 25, -1, -1], ['ssn', 25, -1, -1], ['birth_date', 1082, 4, -1], ['balance', 1700, -1, 786438],
    ])
    assert.equal(rows[0].email, mail(0))
    assert.equal(rows[0].birth_date, '1985-12-10')
    assert.equal(Number(rows[0].balance), 100.5)
    const simple = await client.query({ text: `SELECT email, ssn FROM customers WHERE email = '${mail(0)}'`, rowMode: 'array' })
    assert.deepEqual(simple.rows, [[mail(0), '123-45-6789']])
  },
  binary: async () => {
    // node-postgres reads binary values by way of UTF-8: ASCII bytes only.
    await query('UPDATE customers SET birth_date = $1, balance = $2 WHERE id = $3', ['2000-03-01', '100', base + 1])
    const text = 'SELECT email, balance, birth_date FROM customers WHERE email = $1'
    const types = { getTypeParser: (oid, format) => (bytes) => [oid, format, Buffer.from(bytes).toString('hex')] }
    const { rows } = await client.query({ text, values: [mail(1)], binary: true, rowMode: 'array', types })
    assert.deepEqual(rows, [
      [[25, 'binary', Buffer.from(mail(1)).toString('hex')], [1700, 'binary', '00010000000000020064'], [1082, 'binary', '0000003c']],
    ])
  },
  lookup: async () => {
    for (const i of [0, 1, 0, 1]) {
      const { rows } = await query('SELECT id FROM customers WHERE email = $1', [mail(i)])
      assert.deepEqual(rows, [{ id: base + i }])
    }
    const several = await query('SELECT id FROM customers WHERE email = ANY($1) ORDER BY id', [[mail(1), mail(0), 'nobody']])
    assert.deepEqual(several.rows.map((r) => r.id), [base, base + 1])
    assert.equal((await query('SELECT id FROM customers WHERE email = $1', ['nobody'])).rowCount, 0)
  },
  upsert: async () => {
    const text = `INSERT INTO customers (id, name, email, ssn) VALUES ($1, $2, $3, $4)
      ON CONFLICT (email) DO UPDATE SET ssn = excluded.ssn, name = excluded.name RETURNING id, ssn`
    const { rows } = await query(text, [base + 99, 'Ann', mail(0), '999-99-9999'])
    assert.deepEqual(rows, [{ id: base, ssn: '999-99-9999' }])
    assert.equal((await query('UPDATE customers SET balance = $1 WHERE email = $2', ['7.25', mail(0)])).rowCount, 1)
  },
  'bulk load': async () => {
    const values = Array.from({ length: 500 }, (_, i) => `($${4 * i + 1}, $${4 * i + 2}, $${4 * i + 3}, $${4 * i + 4})`)
    const parameters = Array.from({ length: 500 }, (_, i) => [base + 1000 + i, 'bulk', mail(1000 + i), '2001-02-03']).flat()
    const { rowCount } = await query(`INSERT INTO customers (id, name, email, birth_date) VALUES ${values}`, parameters)
    assert.equal(rowCount, 500)
    const found = await query('SELECT id FROM customers WHERE email IN ($1, $2) ORDER BY id', [mail(1000), mail(1499)])
    assert.deepEqual(found.rows.map((r) => r.id), [base + 1000, base + 1499])
  },
  'copy in': async () => {
    const stream = plain.query(copyFrom('COPY customers (id, name, email, birth_date) FROM STDIN'))
    const lines = Array.from({ length: 500 }, (_, i) => `${base + 2000 + i}\tcopied\t${mail(2000 + i)}\t2001-02-03\n`)
    await pipeline(Readable.from(lines), stream)
    assert.equal(stream.rowCount, 500)
    const { rows } = await query('DELETE FROM customers WHERE id >= $1 AND id < $2 RETURNING id, email', [base + 2000, base + 3000])
    assert.equal(rows.length, 500)
    for (const row of rows) assert.equal(row.email, mail(row.id - base))
  },
  'copy out': async () => {
    let copied = ''
    const sink = new Writable({ write: (chunk, _, done) => ((copied += chunk), done()) })
    const text = `COPY (SELECT id, email FROM customers WHERE id BETWEEN ${base + 1000} AND ${base + 1499} ORDER BY id) TO STDOUT`
    await pipeline(plain.query(copyTo(text)), sink)
    const lines = copied.trimEnd().split('\n')
    assert.equal(lines.length, 500)
    assert.equal(lines[7], `${base + 1007}\t${mail(1007)}`)
  },
  paginate: async () => {
    let after = base + 1000 - 1
    let seen = 0
    for (;;) {
      const { rows } = await query('SELECT id, email FROM customers WHERE id > $1 AND id < $2 ORDER BY id LIMIT $3', [
        after, base + 1500, 120,
      ])
      if (rows.length === 0) break
      for (const row of rows) assert.equal(row.email, mail(row.id - base))
      seen += rows.length
      after = rows.at(-1).id
    }
    assert.equal(seen, 500)
  },
  cursor: async () => {
    const text = 'SELECT id, email FROM customers WHERE id >= $1 AND id < $2 ORDER BY id'
    const cursor = plain.query(new Cursor(text, [base + 1000, base + 1500]))
    let seen = 0
    for (let rows; (rows = await cursor.read(70)).length; seen += rows.length)
      for (const row of rows) assert.equal(row.email, mail(row.id - base))
    await cursor.close()
    assert.equal(seen, 500)
    const half = plain.query(new Cursor(text, [base + 1000, base + 1500]))
    assert.equal((await half.read(10)).length, 10)
    await half.close()
  },
  stream: async () => {
    const text = 'SELECT id, email FROM customers WHERE id >= $1 AND id < $2 ORDER BY id'
    const stream = plain.query(new QueryStream(text, [base + 1000, base + 1500], { batchSize: 33, highWaterMark: 33 }))
    let seen = 0
    for await (const row of stream) {
      assert.equal(row.email, mail(row.id - base))
      seen += 1
    }
    assert.equal(seen, 500)
  },
  transaction: async () => {
    await client.query('BEGIN')
    await query('UPDATE customers SET email = $1 WHERE id = $2', [mail('gone'), base])
    assert.equal((await query('SELECT id FROM customers WHERE email = $1', [mail('gone')])).rowCount, 1)
    await client.query('ROLLBACK')
    assert.equal((await query('SELECT email FROM customers WHERE id = $1', [base])).rows[0].email, mail(0))
  },
  savepoint: async () => {
    await client.query('BEGIN')
    await query('UPDATE customers SET ssn = $1 WHERE id = $2', ['kept', base])
    await client.query('SAVEPOINT s')
    await query('UPDATE customers SET ssn = $1 WHERE id = $2', ['lost', base])
    await client.query('ROLLBACK TO SAVEPOINT s')
    await client.query('RELEASE SAVEPOINT s')
    await client.query('COMMIT')
    assert.equal((await query('SELECT ssn FROM customers WHERE id = $1', [base])).rows[0].ssn, 'kept')
  },
  'error in a transaction': async () => {
    await client.query('BEGIN')
    assert.equal(await sqlstate(query('INSERT INTO customers (id, name, email) VALUES ($1, $2, $3)', [base + 50, 'x', mail(0)])), '23505')
    assert.equal(await sqlstate(query('SELECT email FROM customers WHERE id = $1', [base])), '25P02')
    await client.query('ROLLBACK')
    assert.equal(await sqlstate(query('UPDATE customers SET birth_date = $1 WHERE id = $2', ['2021-02-30', base])), '22008')
    assert.equal(await sqlstate(query('SELECT id FROM customers WHERE lower(ssn) = $1', ['x'])), '0A000')
    assert.equal((await query('SELECT email FROM customers WHERE id = $1', [base])).rows[0].email, mail(0))
  },
  cancel: async () => {
    const sleeping = new pg.Query('SELECT email, pg_sleep(30) FROM customers WHERE id = $1', [base])
    const failed = new Promise((resolve) => sleeping.on('error', resolve))
    plain.query(sleeping)
    await sleep(300)
    new pg.Client().cancel(plain, sleeping)
    assert.equal((await failed).code, '57014')
    const { rows } = await plain.query('SELECT email FROM customers WHERE id = $1', [base])
    assert.equal(rows[0].email, mail(0))
  },
  notifications: async () => {
    const heard = new Promise((resolve) => plain.once('notification', resolve))
    await plain.query('LISTEN news_node')
    await query("SELECT pg_notify('news_node', $1) FROM customers WHERE email = $2", ['hello', mail(0)])
    const notification = await heard
    assert.deepEqual([notification.channel, notification.payload, notification.processId], ['news_node', 'hello', client.processID])
    await plain.query('UNLISTEN *')
  },
  values: async () => {
    const rows = [[UNICODE, UNICODE], ['', ''], [null, null], [mail('big'), MEGABYTE]]
    for (const [i, [email, ssn]] of rows.entries())
      await query('INSERT INTO customers (id, name, email, ssn) VALUES ($1, $2, $3, $4)', [base + 60 + i, 'v', email, ssn])
    const back = await query('SELECT email, ssn FROM customers WHERE id >= $1 AND id < $2 ORDER BY id', [base + 60, base + 70])
    assert.deepEqual(back.rows.map((r) => [r.email, r.ssn]), rows)
    assert.equal((await query('SELECT id FROM customers WHERE email = $1', [UNICODE])).rows[0].id, base + 60)
    assert.equal((await query('SELECT id FROM customers WHERE email IS NULL AND id = $1', [base + 62])).rowCount, 1)
    await query('DELETE FROM customers WHERE id >= $1 AND id < $2', [base + 60, base + 70])
  },
  roles: async () => {
    const support = new pg.Client({ ...options, user: 'support_login' })
    await support.connect()
    const { rows } = await support.query('SELECT email, ssn, birth_date, balance FROM customers WHERE email = $1', [mail(1000)])
    assert.deepEqual(rows, [{ email: mail(1000), ssn: null, birth_date: '2001-01-01', balance: null }])
    assert.equal(await sqlstate(support.query('UPDATE customers SET email = $1 WHERE id = $2', ['x', base])), '42501')
    await support.end()
  },
  pool: async () => {
    const answers = await Promise.all(
      Array.from({ length: 40 }, (_, i) => pool.query('SELECT id, email FROM customers WHERE email = $1', [mail(1000 + i)])),
    )
    assert.deepEqual(answers.map((a) => a.rows[0].id - base), Array.from({ length: 40 }, (_, i) => 1000 + i))
    await pool.end()
  },
  'many at once': async () => {
    const one = (i) => query('SELECT email FROM customers WHERE id = $1', [base + 1000 + i])
    const bad = query('SELECT email, 1 / $1::int FROM customers', [0])
    const answers = await Promise.all([sqlstate(bad), ...Array.from({ length: 50 }, (_, i) => one(i))])
    assert.equal(answers[0], '22012')
    answers.slice(1).forEach((a, i) => assert.equal(a.rows[0].email, mail(1000 + i)))
  },
  delete: async () => {
    const { rowCount } = await query('DELETE FROM customers WHERE id >= $1 AND id < $2', [base, base + 10000])
    assert.equal(rowCount, 502)
  },
})
await client.end()
await plain.end()
