import { mkdtempSync, rmSync, statSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, expect, it } from 'vitest'
import { childProcesses } from '../../../src/adapters/node/child-process.ts'

let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'sv-'))
})
afterAll(() => rmSync(directory, { recursive: true }))

it('keeps a process from writing a file beyond its limit, and does not end it for that', async () => {
  const file = join(directory, 'disk')
  let output = ''
  const options = {
    channels: 0,
    fds: [],
    maxFileBytes: 1_000_000,
    onOutput: (bytes: Uint8Array) => void (output += new TextDecoder().decode(bytes)),
  }
  const child = await childProcesses.spawn('dd', ['if=/dev/zero', `of=${file}`, 'bs=100000', 'count=20'], options)
  expect(await child.ended).toEqual({ kind: 'exited', code: 1 })
  expect(output).toMatch(/too large/i)
  expect(statSync(file).size).toBe(1_000_000)
})

it('is the process itself that is started, behind the limit too', async () => {
  let output = ''
  const options = {
    channels: 0,
    fds: [],
    maxFileBytes: 1_000_000,
    onOutput: (bytes: Uint8Array) => void (output += new TextDecoder().decode(bytes)),
  }
  const child = await childProcesses.spawn(process.execPath, ['-e', 'console.log(process.pid)'], options)
  await child.ended
  expect(Number(output)).toBe(child.pid)
})
