import { spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { createServer, type Server } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, it } from 'vitest'
import { runnerSockets } from '../../../src/adapters/node/runner-sockets.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { aUid } from '../../support/branded.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
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

/** Answers whatever comes with these bytes. */
function says(hello: string, answer: string): void {
  server.on('connection', (socket) => {
    socket.write(hello)
    socket.on('data', () => socket.write(answer))
    socket.on('error', () => undefined)
  })
}

const hello = `${JSON.stringify({ type: 'hello', protocol: 'swarmvirt.runner-control', version: 1, uid })}\n`
const escape = '\u001b[2J\u202e\u0007\n'
const status = {
  uid,
  phase: 'Running',
  message: `all${escape}well`,
  accelerator: 'tcg',
  qemuStatus: `run${escape}ning`,
  launchHash: escape,
  release: `0${escape}`,
  startedAt: `2026${escape}`,
  restarts: 0,
  hardening: { uid: 30702, capEff: escape, capBnd: escape, noNewPrivs: true, seccomp: 2 },
}
const obeyed = /[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/u
const strings = (value: unknown): string[] =>
  typeof value === 'string' ? [value] : value !== null && typeof value === 'object' ? Object.values(value).flatMap(strings) : []

describe('what a hostile runner says', () => {
  it('has nothing in it that a terminal would obey', async () => {
    says(hello, `${JSON.stringify({ type: 'status', id: 1, status })}\n`)
    const read = await runnerSockets({ layout: paths }).status(uid)
    expect(read.message).toMatch(/^all +\[2J +well$/)
    expect(strings(read).filter((one) => obeyed.test(one))).toEqual([])
  })

  it.each([
    ['an error', hello, `${JSON.stringify({ type: 'error', id: 1, message: `no${escape}` })}\n`],
    ['no JSON', `${escape}\n`, ''],
  ])('has nothing in it that a terminal would obey where it is %s', async (_what, first, answer) => {
    says(first, answer)
    const error = await runnerSockets({ layout: paths })
      .status(uid)
      .catch((one: unknown) => one)
    expect(error).toBeInstanceOf(PortError)
    expect(obeyed.test((error as PortError).message)).toBe(false)
  })

  it('is refused where it is longer than any answer', async () => {
    says(hello, `${JSON.stringify({ type: 'status', id: 1, status: { ...status, message: 'x'.repeat(3_000) } })}\n`)
    await expect(runnerSockets({ layout: paths }).status(uid)).rejects.toThrow('does not support')
  })
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

describe('the path of a control socket', () => {
  it('opens the checked file, even if a runner swaps it for a link to the socket of another VM', async () => {
    says(hello, `${JSON.stringify({ type: 'status', id: 1, status })}\n`)
    let strangers = 0
    const elsewhere = join(paths.root, 'other.sock')
    const other = createServer((socket) => {
      strangers += 1
      socket.destroy()
    })
    await new Promise<void>((resolve) => other.listen(elsewhere, resolve))
    const swap = `
      const { linkSync, renameSync, symlinkSync } = await import('node:fs')
      const [own, elsewhere] = ${JSON.stringify([paths.controlSocket(uid), elsewhere])}
      linkSync(own, own + '.kept')
      process.stdout.write('swapping')
      for (;;) {
        symlinkSync(elsewhere, own + '.new')
        renameSync(own + '.new', own)
        linkSync(own + '.kept', own + '.new')
        renameSync(own + '.new', own)
      }`
    const swapper = spawn(process.execPath, ['--input-type=module', '-e', swap], { stdio: ['ignore', 'pipe', 'inherit'] })
    await new Promise((resolve) => swapper.stdout.once('data', resolve))
    const runners = runnerSockets({ layout: paths })
    for (let ask = 0; ask < 300; ask += 1) await runners.status(uid).catch((error: unknown) => expect(error).toBeInstanceOf(PortError))
    swapper.kill('SIGKILL')
    other.close()
    expect(strangers).toBe(0)
  })
})
