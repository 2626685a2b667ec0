// A program runs one flow of a library against the server: `node <library>.mjs <flow>`.
// What it must know stands in the environment as JSON; what the person does is asked for line by
// line: one line of JSON out, one line of JSON in.  The last line is the result.
import { createInterface } from 'node:readline'
import { webcrypto } from 'node:crypto'

globalThis.crypto ??= webcrypto // Node 18 has it under this name alone

export const { server, apps, callback, goodbye } = JSON.parse(process.env.PAWPRINT_FLOW)

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]()

/** Have the test do what a person does, and return what came of it. */
export async function ask(what, ...details) {
  console.log(JSON.stringify({ ask: what, details }))
  return JSON.parse((await lines.next()).value)
}

export async function run(flows) {
  const result = await flows[process.argv[2]]()
  console.log(JSON.stringify({ result }))
  process.exit()
}

/** Return how a promise that must fail failed, as the library tells it. */
export async function refusal(promise) {
  try {
    await promise
  } catch (error) {
    return { error: error.error ?? error.cause?.error, code: error.code, status: error.status }
  }
  throw new Error('It was not refused.')
}
