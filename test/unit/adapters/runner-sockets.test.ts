import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runnerSockets } from '../../../src/adapters/runner-sockets.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'

const uid = '11111111-1111-4111-8111-111111111111'
let paths: Layout
let server: Server

/** Takes connections and says nothing. */
beforeEach(async () => {
  paths = layout(mkdtempSync(join(tmpdir(), 'sv-')))
  mkdirSync(paths.run(uid), { recursive: true })
  server = createServer()
  await new Promise<void>((resolve) => server.listen(paths.controlSocket(uid), resolve))
})
afterEach(() => {
  server.close()
  rmSync(paths.root, { recursive: true })
})

describe('asking a runner that says nothing', () => {
  it('gives up at the deadline', async () => {
    await expect(runnerSockets({ layout: paths, deadlineMs: 50 }).status(uid)).rejects.toThrow('in time')
  })

  it('gives up where the caller had gone before the socket was there', async () => {
    const gone = AbortSignal.abort(new Error('the caller went away'))
    await expect(runnerSockets({ layout: paths }).status(uid, gone)).rejects.toThrow('in time')
  }, 3_000)
})
