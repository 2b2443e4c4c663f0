// postgres.js. argv: base id, then whether statements are prepared by name: prepared, unprepared.

import postgres from 'postgres'
import { pipeline } from 'node:stream/promises'
import { Readable } from 'node:stream'
import { assert, run, sqlstate, sleep, MEGABYTE, UNICODE } from './steps.mjs'

const base = Number(process.argv[2])
const mode = process.argv[3]
const types = { date: { to: 1082, from: [1082], serialize: String, parse: String } } // Dates as they are.
const options = { host: process.env.PGHOST, prepare: mode === 'prepared', types, onnotice: () => {} }
const sql = postgres({ ...options, max: 1 }) // One connection: what is asked at once is pipelined on it.
const copies = postgres({ ...options, max: 1 }) // After COPY TO, postgres.js may wait for ever on its connection, on any server.
const several = postgres({ ...options, max: 4 })
const mail = (i) => `canary-postgresjs-${mode}-${i}@example.com`
const from = (low, high) => sql`SELECT id, email FROM customers WHERE id >= ${base + low} AND id < ${base + high} ORDER BY id`

await run({
  insert: async () => {
    const row = { id: base, name: 'Ann', email: mail(0), ssn: '123-45-6789', birth_date: '1985-12-10', balance: '100.50' }
    assert.equal((await sql`INSERT INTO customers ${sql(row)}`).count, 1)
    const returned = await sql`INSERT INTO customers (id, name, email, ssn)
      VALUES (${base + 1}, 'Ben', ${mail(1)}, ${null}) RETURNING email, ssn`
    assert.deepEqual([...returned], [{ email: mail(1), ssn: null }])
  },
  read: async () => {
    const rows = await sql`SELECT email, ssn, birth_date, balance FROM customers WHERE id = ${base}`
    assert.deepEqual([...rows], [{ email: mail(0), ssn: '123-45-6789', birth_date: '1985-12-10', balance: '100.50' }])
    assert.deepEqual(rows.columns.map((c) => [c.name, c.type]), [['email', 25], ['ssn', 25], ['birth_date', 1082], ['balance', 1700]])
    const simple = await sql`SELECT email, ssn FROM customers WHERE email = 'nobody'; SELECT ssn FROM customers WHERE id = 1`.simple()
    assert.equal(simple.length, 2)
    const unsafe = await sql.unsafe('SELECT ssn FROM customers WHERE email = $1', [mail(0)])
    assert.equal(unsafe[0].ssn, '123-45-6789')
  },
  describe: async () => {
    const found = await sql`SELECT email, balance FROM customers WHERE email = ${'x'} AND birth_date = ${'2000-01-01'}`.describe()
    assert.deepEqual(found.types, [25, 1082])
    assert.deepEqual(found.columns.map((c) => c.type), [25, 1700])
  },
  lookup: async () => {
    for (const i of [0, 1, 0, 1])
      assert.deepEqual([...(await sql`SELECT id FROM customers WHERE email = ${mail(i)}`)], [{ id: base + i }])
    const list = await sql`SELECT id FROM customers WHERE email IN ${sql([mail(0), mail(1), 'nobody'])} ORDER BY id`
    assert.deepEqual(list.map((r) => r.id), [base, base + 1])
    const array = await sql`SELECT id FROM customers WHERE email = ANY(${[mail(1), 'nobody']})`
    assert.deepEqual(array.map((r) => r.id), [base + 1])
    assert.equal((await sql`SELECT id FROM customers WHERE email = ${'nobody'}`).count, 0)
  },
  upsert: async () => {
    const row = { id: base + 99, name: 'Ann', email: mail(0), ssn: '999-99-9999' }
    const rows = await sql`INSERT INTO customers ${sql(row)}
      ON CONFLICT (email) DO UPDATE SET ssn = excluded.ssn, name = excluded.name RETURNING id, ssn`
    assert.deepEqual([...rows], [{ id: base, ssn: '999-99-9999' }])
    const change = { balance: '7.25', ssn: '1' }
    assert.equal((await sql`UPDATE customers SET ${sql(change)} WHERE email = ${mail(0)}`).count, 1)
  },
  'bulk load': async () => {
    const rows = Array.from({ length: 500 }, (_, i) => ({ id: base + 1000 + i, name: 'bulk', email: mail(1000 + i), birth_date: '2001-02-03' }))
    assert.equal((await sql`INSERT INTO customers ${sql(rows)}`).count, 500)
    const found = await sql`SELECT id FROM customers WHERE email IN ${sql([mail(1000), mail(1499)])} ORDER BY id`
    assert.deepEqual(found.map((r) => r.id), [base + 1000, base + 1499])
  },
  'copy in': async () => {
    const lines = Array.from({ length: 500 }, (_, i) => `${base + 2000 + i}\tcopied\t${mail(2000 + i)}\n`)
    await pipeline(Readable.from(lines), await copies`COPY customers (id, name, email) FROM STDIN`.writable())
    const rows = await sql`DELETE FROM customers WHERE id >= ${base + 2000} AND id < ${base + 3000} RETURNING id, email`
    assert.equal(rows.length, 500)
    for (const row of rows) assert.equal(row.email, mail(row.id - base))
  },
  'copy out': async () => {
    const text = `COPY (SELECT id, email FROM customers WHERE id BETWEEN ${base + 1000} AND ${base + 1499} ORDER BY id) TO STDOUT`
    let copied = ''
    for await (const chunk of await copies.unsafe(text).readable()) copied += chunk
    const lines = copied.trimEnd().split('\n')
    assert.equal(lines.length, 500)
    assert.equal(lines[7], `${base + 1007}\t${mail(1007)}`)
  },
  paginate: async () => {
    let seen = 0
    for (let after = base + 999; ; ) {
      const rows = await sql`SELECT id, email FROM customers WHERE id > ${after} AND id < ${base + 1500} ORDER BY id LIMIT ${120}`
      if (rows.length === 0) break
      for (const row of rows) assert.equal(row.email, mail(row.id - base))
      seen += rows.length
      after = rows.at(-1).id
    }
    assert.equal(seen, 500)
  },
  cursor: async () => {
    let seen = 0
    for await (const rows of from(1000, 1500).cursor(70)) {
      for (const row of rows) assert.equal(row.email, mail(row.id - base))
      seen += rows.length
    }
    assert.equal(seen, 500)
    await from(1000, 1500).cursor(10, (rows) => (assert.equal(rows.length, 10), sql.CLOSE))
    assert.equal((await from(1000, 1001)).length, 1)
  },
  stream: async () => {
    let seen = 0
    await from(1000, 1500).forEach((row) => {
      assert.equal(row.email, mail(row.id - base))
      seen += 1
    })
    assert.equal(seen, 500)
  },
  transaction: async () => {
    const undone = sql.begin(async (tx) => {
      await tx`UPDATE customers SET email = ${mail('gone')} WHERE id = ${base}`
      assert.equal((await tx`SELECT id FROM customers WHERE email = ${mail('gone')}`).count, 1)
      throw Object.assign(new Error(), { code: 'undo' })
    })
    assert.equal(await sqlstate(undone), 'undo')
    assert.equal((await sql`SELECT email FROM customers WHERE id = ${base}`)[0].email, mail(0))
    const both = await sql.begin((tx) => [
      tx`UPDATE customers SET ssn = ${'piped'} WHERE id = ${base}`,
      tx`SELECT ssn FROM customers WHERE id = ${base}`,
    ])
    assert.equal(both[1][0].ssn, 'piped')
  },
  savepoint: async () => {
    await sql.begin(async (tx) => {
      await tx`UPDATE customers SET ssn = ${'kept'} WHERE id = ${base}`
      const lost = tx.savepoint(async (inner) => {
        await inner`UPDATE customers SET ssn = ${'lost'} WHERE id = ${base}`
        await inner`SELECT 1 / ${0}::int, email FROM customers`
      })
      assert.equal(await sqlstate(lost), '22012')
    })
    assert.equal((await sql`SELECT ssn FROM customers WHERE id = ${base}`)[0].ssn, 'kept')
  },
  'error in a transaction': async () => {
    const twice = sql.begin(async (tx) => {
      await tx`INSERT INTO customers (id, name, email) VALUES (${base + 50}, 'x', ${mail(0)})`
    })
    assert.equal(await sqlstate(twice), '23505')
    assert.equal(await sqlstate(sql`UPDATE customers SET birth_date = ${'2021-02-30'} WHERE id = ${base}`), '22008')
    assert.equal(await sqlstate(sql`SELECT id FROM customers WHERE lower(ssn) = ${'x'}`), '0A000')
    assert.equal((await sql`SELECT email FROM customers WHERE id = ${base}`)[0].email, mail(0))
  },
  cancel: async () => {
    const sleeping = sql`SELECT email, pg_sleep(30) FROM customers WHERE id = ${base}`.execute()
    await sleep(300)
    sleeping.cancel()
    assert.equal(await sqlstate(sleeping), '57014')
    assert.equal((await sql`SELECT email FROM customers WHERE id = ${base}`)[0].email, mail(0))
  },
  notifications: async () => {
    let tell
    const heard = new Promise((resolve) => (tell = resolve))
    const { unlisten } = await sql.listen('news_js', tell)
    await sql.notify('news_js', 'hello')
    assert.equal(await heard, 'hello')
    await unlisten()
  },
  values: async () => {
    const rows = [[UNICODE, UNICODE], ['', ''], [null, null], [mail('big'), MEGABYTE]]
    for (const [i, [email, ssn]] of rows.entries())
      await sql`INSERT INTO customers (id, name, email, ssn) VALUES (${base + 60 + i}, 'v', ${email}, ${ssn})`
    const back = await sql`SELECT email, ssn FROM customers WHERE id >= ${base + 60} AND id < ${base + 70} ORDER BY id`.values()
    assert.deepEqual([...back], rows)
    assert.equal((await sql`SELECT id FROM customers WHERE email = ${UNICODE}`)[0].id, base + 60)
    await sql`DELETE FROM customers WHERE id >= ${base + 60} AND id < ${base + 70}`
  },
  roles: async () => {
    const support = postgres({ ...options, max: 1, user: 'support_login' })
    const rows = await support`SELECT email, ssn, birth_date, balance FROM customers WHERE email = ${mail(1000)}`
    assert.deepEqual([...rows], [{ email: mail(1000), ssn: null, birth_date: '2001-01-01', balance: null }])
    assert.equal(await sqlstate(support`UPDATE customers SET email = ${'x'} WHERE id = ${base}`), '42501')
    await support.end()
  },
  pool: async () => {
    const one = (i) => several`SELECT id, email FROM customers WHERE email = ${mail(1000 + i)}`
    const answers = await Promise.all(Array.from({ length: 40 }, (_, i) => one(i)))
    assert.deepEqual(answers.map((a) => a[0].id - base), Array.from({ length: 40 }, (_, i) => 1000 + i))
    await several.end()
  },
  'many at once': async () => {
    const one = (i) => sql`SELECT email FROM customers WHERE id = ${base + 1000 + i}`
    const bad = sql`SELECT email, 1 / ${0}::int FROM customers`
    const answers = await Promise.all([sqlstate(bad), ...Array.from({ length: 50 }, (_, i) => one(i))])
    assert.equal(answers[0], '22012')
    answers.slice(1).forEach((a, i) => assert.equal(a[0].email, mail(1000 + i)))
  },
  delete: async () => {
    assert.equal((await sql`DELETE FROM customers WHERE id >= ${base} AND id < ${base + 10000}`).count, 502)
  },
})
await Promise.all([sql.end(), copies.end({ timeout: 1 })])
