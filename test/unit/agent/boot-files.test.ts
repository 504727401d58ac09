import { createHash } from 'node:crypto'
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, expect, test } from 'vitest'
import { stateFiles } from '../../../src/adapters/node/state-files.ts'
import { firmwareFiles } from '../../../src/agent/firmware.ts'
import { type Layout, layout } from '../../../src/api/layout.ts'
import { nodeFeatures } from '../../../src/api/node-features.ts'
import type { PrepareOrder } from '../../../src/api/wire/agent-api.ts'
import type { Firmware } from '../../../src/api/wire/common.ts'
import { aUid } from '../../support/branded.ts'
import { evenRandom } from '../controller/virtual-clock.ts'

const uid = aUid('11111111-1111-4111-8111-111111111111')
let paths: Layout
let busy: boolean

beforeEach(() => {
  paths = layout(mkdtempSync(join(tmpdir(), 'sv-')))
  busy = false
  for (const path of [paths.images, paths.store, paths.instanceImages(uid)]) mkdirSync(path, { recursive: true })
})
afterEach(() => rmSync(paths.root, { recursive: true }))

function aKernel(name: string, content: string): void {
  writeFileSync(join(paths.images, name), `${'x'.repeat(0x202)}HdrS${content}`)
}

function order(firmware: Firmware | undefined, pending?: Firmware): PrepareOrder {
  const rest = pending === undefined ? {} : { pending: { accelerator: 'tcg', nics: [], firmware: pending } }
  return { uid, firmware, ...rest } as unknown as PrepareOrder
}

const kernel = (image: string, initrd?: string): Firmware => ({
  mode: 'bios',
  kernel: { image, ...(initrd === undefined ? {} : { initrd }) },
})

function ofNode(features: readonly string[] = nodeFeatures) {
  const copy = async (from: string, to: string) => {
    copyFileSync(from, to)
    const sha256 = createHash('sha256').update(readFileSync(from)).digest('hex')
    return { sha256, bytes: 1, start: new Uint8Array(), contentType: undefined }
  }
  const quiet = { waitMs: () => (busy ? 1 : 0) }
  const options = {
    layout: paths,
    files: stateFiles(),
    arrivals: { copy },
    quiet,
    random: evenRandom,
    signal: new AbortController().signal,
  }
  return firmwareFiles({ ...options, features })
}

/** The content that the runner would start, by name. */
function recorded(): Readonly<Record<string, string>> {
  const { files } = JSON.parse(readFileSync(paths.bootFilesFile(uid), 'utf8')) as { files: { source: string; sha256: string }[] }
  return Object.fromEntries(
    files.map(({ source, sha256 }) => [source, readFileSync(`${paths.instanceImages(uid)}/${sha256}`, 'utf8').slice(0x206)]),
  )
}

test('a kernel is copied once for each name, whatever becomes of the file', async () => {
  aKernel('vmlinuz', 'first')
  writeFileSync(join(paths.images, 'initrd'), 'i'.repeat(0x206))
  expect(await ofNode().prepare(order(kernel('images/vmlinuz', 'images/initrd')))).toBeUndefined()
  aKernel('vmlinuz', 'second')
  expect(await ofNode().prepare(order(kernel('images/vmlinuz', 'images/initrd')))).toBeUndefined()
  rmSync(join(paths.images, 'vmlinuz'))
  expect(await ofNode().prepare(order(kernel('images/vmlinuz')))).toBeUndefined()
  expect(recorded()).toEqual({ 'images/vmlinuz': 'first' })
})

test('a pending edit brings its kernel beside the running one, which stays until the edit is applied', async () => {
  for (const name of ['a', 'b']) aKernel(name, name)
  const [before, after] = [kernel('images/a'), kernel('images/b')]
  await ofNode().prepare(order(before))
  expect(await ofNode().preparePending(order(before, after))).toBeUndefined()
  expect(recorded()).toEqual({ 'images/a': 'a', 'images/b': 'b' })
  await ofNode().prepare(order(after))
  expect(recorded()).toEqual({ 'images/b': 'b' })
})

test.each<[string, () => void, string]>([
  ['is missing', () => undefined, 'ImageMissing'],
  ['is no kernel', () => writeFileSync(join(paths.images, 'k'), 'a script'), 'ImageRefused'],
  ['is a link', () => symlinkSync('/etc/shadow', join(paths.images, 'k')), 'ImageRefused'],
  ['is still written', () => (aKernel('k', ''), void (busy = true)), 'ImageArriving'],
])('a file that %s is not started', async (_what, make, reason) => {
  make()
  expect(await ofNode().prepare(order(kernel('images/k')))).toMatchObject({ reason })
  expect(existsSync(paths.bootFilesFile(uid))).toBe(false)
})

test('UEFI and a TPM get a directory that the runner can write, and other VMs get none', async () => {
  expect(await ofNode().prepare(order(undefined))).toBeUndefined()
  expect(existsSync(paths.firmware(uid))).toBe(false)
  await ofNode().prepare(order({ mode: 'uefi' }))
  expect(statSync(paths.firmware(uid)).mode & 0o7777).toBe(0o2770)
})

test('a node whose image has no TPM refuses one', async () => {
  const found = await ofNode(['uefi']).prepare(order({ mode: 'uefi', tpm: true }))
  expect(found).toMatchObject({ state: 'failed', reason: 'FirmwareMissing', message: expect.stringContaining('has no tpm') })
})
