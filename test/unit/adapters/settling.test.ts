import { appendFileSync, mkdtempSync, realpathSync, renameSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterEach, beforeEach, expect, it } from 'vitest'
import type { Settling } from '../../../src/adapters/directory/cached-files.ts'
import { manifestDirectory, readManifests } from '../../../src/adapters/directory/manifest-directory.ts'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import type { ManifestSource } from '../../../src/ports/manifest-source.ts'
import type { SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'

let root: string
beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), 'sv-settling-')))
})
afterEach(() => rmSync(root, { recursive: true, force: true }))

/** Longer than any test takes. */
const neverMs = 3_600_000
const soon: Settling = { quietMs: 20, cutMs: 20 }

const head = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: {name: web}
spec:
  memory: 512Mi
  disks: [{name: root, size: 1Gi, image: {source: images/tiny.qcow2}}]
  networks: [{name: lan, bridge: br0}]
`
const whole = `${head}  cloudInit:
    userData: |
      #cloud-config
      packages: [nginx]
      runcmd: [reboot]
`
/** Cut inside `userData`: valid, and not what was meant. */
const half = whole.slice(0, whole.indexOf('[reboot]'))

function put(text: string): void {
  writeFileSync(join(root, 'web.yaml'), text)
}

function sourceOf(settling: Settling): ManifestSource {
  return manifestDirectory({ path: root, watchPolling: false, settling })
}

function userData({ documents }: SourceSnapshot): readonly string[] {
  return documents.map((one) => ('vm' in one ? (one.vm.spec.cloudInit?.userData ?? 'none') : 'invalid'))
}

/** Reads until it says something final. */
async function settledRead(source: ManifestSource): Promise<SourceSnapshot> {
  for (;;) {
    const snapshot = await source.read()
    if (snapshot.readAgainMs === undefined) return snapshot
    await sleep(snapshot.readAgainMs)
  }
}

it('takes nothing of a file that is being written, and all of it when it is left alone', async () => {
  expect(userData(await readManifests(root, manifestReader()))).toEqual([])
  put(half)
  const source = sourceOf({ quietMs: 1_000, cutMs: neverMs })
  const early = await source.read()
  expect(early).toMatchObject({
    complete: false,
    documents: [],
    message: expect.stringMatching(/^web.yaml: it has just changed/) as string,
  })
  expect(early.readAgainMs).toBeGreaterThan(1_000)
  put(whole)
  expect(userData(await settledRead(source))).toEqual([expect.stringContaining('reboot')])
})

it('keeps in force what a file said until what it says now is settled', async () => {
  put(head)
  const source = sourceOf({ quietMs: 20, cutMs: neverMs })
  expect(userData(await settledRead(source))).toEqual(['none'])
  put(half)
  for (const snapshot of [await source.read(), await source.read()]) {
    expect([userData(snapshot), snapshot.complete]).toEqual([['none'], false])
  }
  expect(await source.readHinted?.()).toBeUndefined()
  appendFileSync(join(root, 'web.yaml'), whole.slice(half.length))
  const after = await settledRead(source)
  expect([userData(after)[0]?.includes('reboot'), after.complete]).toEqual([true, true])
})

it('takes a last line without a newline only when the file has not changed for long', async () => {
  put(whole.trimEnd())
  const patient = sourceOf({ quietMs: 0, cutMs: neverMs })
  expect(await patient.read()).toMatchObject({ complete: false, documents: [] })
  put(`${whole.trimEnd()}\n`)
  expect(userData(await patient.read())).toHaveLength(1)
  put(whole.trimEnd())
  expect(userData(await settledRead(sourceOf(soon)))).toHaveLength(1)
})

it('does not wait where the bytes are those that are in force, or where an operator named the file', async () => {
  put(whole)
  const source = sourceOf(soon)
  await settledRead(source)
  put(whole)
  expect(await source.read()).toMatchObject({ complete: true })
  put(half)
  expect(userData(await readManifests(join(root, 'web.yaml'), manifestReader()))).toHaveLength(1)
})

it('has a file that is renamed into its place, once it is settled', async () => {
  put(head)
  const source = sourceOf(soon)
  await settledRead(source)
  writeFileSync(join(root, '.web'), whole)
  renameSync(join(root, '.web'), join(root, 'web.yaml'))
  expect(userData(await settledRead(source))).toEqual([expect.stringContaining('reboot')])
})

it('reads no rule of an ignore file that is half-written, and nothing that it may leave out', async () => {
  put(whole)
  writeFileSync(join(root, 'draft.yaml'), head.replace('web', 'draft'))
  writeFileSync(join(root, '.swarmvirtignore'), '# some of')
  expect(await sourceOf({ quietMs: 0, cutMs: neverMs }).read()).toMatchObject({ complete: false, documents: [] })
  writeFileSync(join(root, '.swarmvirtignore'), '# some of them\ndraft.yaml\n')
  expect(userData(await settledRead(sourceOf(soon)))).toHaveLength(1)
})

it('does not wait for a file of other kinds that is written all the time, and does when it says something else', async () => {
  const status = (text: string): void => writeFileSync(join(root, 'status.yaml'), text)
  put(whole)
  status('load: 0')
  const settling = { quietMs: 20, cutMs: 20 }
  const source = sourceOf(settling)
  await settledRead(source)
  Object.assign(settling, { quietMs: neverMs, cutMs: neverMs })
  status('load: 1')
  expect(await source.read()).toMatchObject({ complete: true, documents: [{ otherKind: 'no kind' }, { ok: true }] })
  status(half.replace('web', 'moved'))
  expect(await source.read()).toMatchObject({ complete: false, documents: [{ otherKind: 'no kind' }, { ok: true }] })
})

it('waits no longer for JSON that is whole than for a last line with a newline', async () => {
  const source = sourceOf({ quietMs: 0, cutMs: neverMs })
  const json = '{"load": [1, 2]}'
  writeFileSync(join(root, 'status.JSON'), json.slice(0, -1))
  expect(await source.read()).toMatchObject({ complete: false })
  writeFileSync(join(root, 'status.JSON'), json)
  expect(await source.read()).toMatchObject({ complete: true, documents: [{ otherKind: 'no kind' }] })
})
