// What every client does, step by step; each step prints one line of JSON: {"step": ..., "ok": ..., "detail": ...}.

import assert from 'node:assert/strict'

export { assert }

export const MEGABYTE = 'Ω'.repeat(262144) + 'x'.repeat(524288)
export const UNICODE = 'Zoë Ελλάδα 😀 \u0001 \\ \' " $1 ; -- \t\n'

export async function run(steps) {
  for (const [step, act] of Object.entries(steps)) {
    let line
    try {
      await act()
      line = { step, ok: true, detail: '' }
    } catch (error) {
      line = { step, ok: false, detail: String(error.stack ?? error).slice(0, 1500) }
    }
    console.log(JSON.stringify(line))
  }
}

// The SQLSTATE that a promise is rejected with.
export async function sqlstate(promise) {
  try {
    await promise
  } catch (error) {
    return error.code
  }
  return 'no error'
}

export const sleep = (milliseconds) => new Promise((done) => setTimeout(done, milliseconds))
