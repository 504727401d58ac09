import { mkdirSync, mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import type { StateFiles } from '../../../src/ports/state-files.ts'
import { aLife } from '../../property/crashes/life.ts'
import { SimulatedDisk } from '../../property/crashes/simulated-disk.ts'
import { simulatedFiles } from '../../property/crashes/simulated-files.ts'

let dir: string

beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'swarmvirt-agree-'))
  mkdirSync(join(dir, 'own'), { mode: 0o700 })
})
afterEach(() => rmSync(dir, { recursive: true }))

function simulated(): StateFiles {
  const disk = new SimulatedDisk(dir)
  disk.putDirectory(join(dir, 'own'), 0o700)
  return simulatedFiles(disk, aLife(), { now: () => 0 })
}

const kinds: readonly (readonly [string, () => StateFiles])[] = [
  ['real files', stateFiles],
  ['simulated files', simulated],
]

/** The result of a call, without the message of an error. */
async function outcome(run: Promise<unknown>): Promise<unknown> {
  return await run.then(
    (value) => value ?? 'done',
    (error: Error) => error.name,
  )
}

describe.each(kinds)('%s', (_kind, make) => {
  test('do what the port says', async () => {
    const files = make()
    const at = (name: string): string => join(dir, 'own', name)
    const facts = async (name: string): Promise<unknown> => (await files.stat(at(name)))?.kind ?? 'absent'
    expect([await facts('a'), await files.list(at('a')), await files.readText(at('a'), 10)]).toEqual(['absent', undefined, undefined])
    await files.writeAtomically(at('a'), 'one', 0o640)
    await files.writeAtomically(at('a'), 'two', 0o640)
    expect([await files.readText(at('a'), 10), await files.list(join(dir, 'own'))]).toEqual(['two', ['a']])
    await files.makeDirectory(at('d'), 0o700)
    await files.makeDirectory(at('d'), 0o700)
    await files.link(at('a'), at('d/a'))
    await files.link(at('a'), at('d/a'))
    await files.removeEmptyDirectory(at('d'))
    expect([await facts('d'), await files.readText(at('d/a'), 10)]).toEqual(['directory', 'two'])
    await files.writeAtomically(at('d/b'), 'three', 0o640)
    expect(await files.publish(at('d/b'), at('a'), 0o640)).toBe('exists')
    expect([await facts('d/b'), await files.readText(at('a'), 10)]).toEqual(['absent', 'two'])
    await files.seal(at('d/a'), 0o660)
    expect(await files.publish(at('d/a'), at('c'), 0o660)).toBe('published')
    await files.writeAtomically(at('d/e'), 'four', 0o640)
    await files.replace(at('d/e'), at('c'))
    expect([await files.readText(at('c'), 10), await files.list(at('d'))]).toEqual(['four', []])
    await files.removeEmptyDirectory(at('d'))
    await files.removeEmptyDirectory(at('d'))
    await files.remove(at('d'))
    expect(await facts('d')).toBe('absent')
  })

  test('refuse alike', async () => {
    const files = make()
    const at = (name: string): string => join(dir, 'own', name)
    await files.makeDirectory(at('d'), 0o700)
    await files.writeAtomically(at('f'), 'text', 0o640)
    expect(await outcome(files.writeAtomically(at('missing/f'), 'text', 0o640))).toBe('StateError')
    expect(await outcome(files.writeAtomically(at('d'), 'text', 0o640))).toBe('StateError')
    expect(await outcome(files.makeDirectory(at('f'), 0o700))).toBe('StateError')
    expect(await outcome(files.remove(at('d')))).toBe('StateError')
    expect(await outcome(files.readText(at('d'), 10))).toBe('StateError')
    expect(await outcome(files.replace(at('f'), at('d')))).toBe('StateError')
    expect(await outcome(files.replace(at('missing'), at('f')))).toBe('StateError')
    expect(await outcome(files.link(at('missing'), at('g')))).toBe('StateError')
    expect(await outcome(files.seal(at('missing'), 0o640))).toBe('StateError')
    expect(await files.list(join(dir, 'own'))).toEqual(['d', 'f'])
  })
})
