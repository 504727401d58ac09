import { mkdtemp, readFile, rm, stat } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import fc from 'fast-check'
import { expect, test } from 'vitest'
import { followSerial } from '../../runner/serial-console.ts'
import { serialLog } from '../../runner/serial-log.ts'
import { lineSplitter, safeText } from '../../runner/serial-text.ts'
import { fakeChannel, recordingLog, virtualClock } from './runner-fakes.ts'

test.each([
  ['plain text\r', 'plain text'],
  ['[\u001b[0;32m  OK  \u001b[0m] Started', '[  OK  ] Started'],
  ['\u001b]0;title\u0007', '\\x1b]0;title\\x07'],
  ['\u001b[2J', '\\x1b[2J'],
  ['a\tb', 'a\tb'],
  ['abc\rxyz', 'abc\\x0dxyz'],
  ['right\u202eleft', 'right\\u{202e}left'],
  ['umlaut ü', 'umlaut ü'],
])('%j is shown as %j', (line, shown) => {
  expect(safeText(line)).toBe(shown)
})

test('lines come whole from pieces, also where a character is cut in two', () => {
  const lines = lineSplitter()
  const bytes = Buffer.from('first ü\nsecond')
  expect(lines.push(bytes.subarray(0, 7))).toEqual([])
  expect(lines.push(bytes.subarray(7))).toEqual(['first ü'])
  expect(lines.flush()).toEqual(['second'])
  expect(lines.flush()).toEqual([])
})

test('a line without end is split, and no part of it is kept forever', () => {
  const lines = lineSplitter()
  const shown = Array.from({ length: 100 }, () => lines.push(Buffer.alloc(1_000, 'x'))).flat()
  expect(shown.join('').length).toBeGreaterThan(97_000)
  expect(Math.max(...shown.map((line) => line.length))).toBeLessThanOrEqual(2_000)
})

test('no byte that a guest can print reaches a terminal as a control or format character', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 300 }), { maxLength: 8 }), (pieces) => {
      const lines = lineSplitter()
      const shown = [...pieces.flatMap((one) => lines.push(one)), ...lines.flush()].join('')
      expect(shown.replaceAll('\t', '')).not.toMatch(/[\p{Cc}\p{Cf}\p{Cs}\p{Zl}\p{Zp}]/u)
    }),
    {
      numRuns: 2_000,
      seed: 1,
      examples: [[[Uint8Array.of(0x9b, 0x32, 0x4a)]], [[Uint8Array.of(0xc2), Uint8Array.of(0x9b)]], [[Buffer.from('\u202e\u2066\ufeff')]]],
    },
  )
})

test('a prompt without newline is shown after a second', async () => {
  const [channel, log, clock] = [fakeChannel(), recordingLog(), virtualClock()]
  void followSerial(channel, { log, clock, file: { append: () => undefined, settled: () => Promise.resolve() } })
  channel.give('login: ')
  await clock.pass(900)
  expect(log.lines).toEqual([])
  await clock.pass(200)
  expect(log.lines[0]?.fields).toMatchObject({ stream: 'serial', line: 'login: ' })
})

test('a guest that floods its console fills the serial log, not the node', async () => {
  const [channel, log, clock] = [fakeChannel(), recordingLog(), virtualClock()]
  let filed = 0
  void followSerial(channel, { log, clock, file: { append: () => (filed += 1), settled: () => Promise.resolve() } })
  for (let each = 0; each < 2_000; each += 1) channel.give(`${'x'.repeat(999)}\n`)
  expect(filed).toBe(2_000)
  expect(log.lines.length).toBeLessThan(600)
  await clock.pass(60_000)
  channel.give('calm again\n')
  expect(log.lines.at(-2)?.fields).toMatchObject({ lines: 2_000 - (log.lines.length - 2) })
  expect(log.lines.at(-1)?.fields).toMatchObject({ line: 'calm again' })
})

test('the serial log keeps the last megabytes in two files that the group can read', async () => {
  const directory = await mkdtemp(join(tmpdir(), 'svrt-serial-'))
  try {
    const path = join(directory, 'serial.log')
    const log = serialLog(path, (error) => {
      throw error
    })
    for (let round = 0; round < 5; round += 1) {
      for (let line = 0; line < 300; line += 1) log.append(`${round} ${'x'.repeat(800)}`)
      await log.settled()
    }
    log.append('the end')
    await log.settled()
    const sizes = [(await stat(path)).size, (await stat(`${path}.1`)).size]
    expect(sizes.every((size) => size > 0 && size < 1.3 * 1024 * 1024)).toBe(true)
    expect((await readFile(path, 'utf8')).endsWith('the end\n')).toBe(true)
    expect((await stat(path)).mode & 0o777).toBe(0o640)
  } finally {
    await rm(directory, { recursive: true })
  }
})

test('a serial log that cannot be written is reported once', async () => {
  const problems: Error[] = []
  const log = serialLog('/nonexistent/serial.log', (error) => problems.push(error))
  for (let each = 0; each < 3; each += 1) {
    log.append('line')
    await log.settled()
  }
  expect(problems).toHaveLength(1)
})
