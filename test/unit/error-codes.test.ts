import { mkdtempSync, readdirSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { parseVirtualMachine } from '../../src/api/manifest.ts'
import { brokenRules } from '../../src/api/manifest/rules.ts'
import { runCli } from './cli/run-cli.ts'

const root = join(import.meta.dirname, '../..')
const vm = (name: string, spec = '  memory: 1Gi', nic = ''): string => `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: ${name} }
spec:
${spec}
  disks: [{ name: root, size: 1Gi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, bridge: br0${nic} }]
`

/** A file that brings each code about, and nothing else. `undefined` is a link that leads nowhere. */
const inputs: Readonly<Record<string, string | Uint8Array | undefined>> = {
  VM001: undefined,
  VM002: 'a: [1',
  VM003: `a: ${'['.repeat(65)}${']'.repeat(65)}`,
  VM004: new Uint8Array([0x61, 0x3a, 0x20, 0xff]),
  VM005: 'apiVersion: v1\nkind: ConfigMap\n',
  VM010: vm('wrong', '  memory: much'),
  VM011: vm('missing', '  cpu: { cores: 1 }'),
  VM012: vm('unknown', '  memory: 1Gi\n  cpus: 2'),
  VM014: vm('classed', '  class: nowhere'),
  VM015: vm('dropped', '  memory: 1Gi\n  cloudInit: { userData: "# cloud-config" }'),
  VM020: vm('early', '  memory: 1Gi\n  placement: {}'),
  VM030: `${vm('twice')}---\n${vm('twice')}`,
  VM031: `${vm('one', undefined, ', address: 192.168.50.7')}---\n${vm('two', undefined, ', address: 192.168.50.7')}`,
  VM040: vm('doubtful', '  memory: 1Gi\n  cloudInit: { userData: "packages: [curl]" }'),
}

const smallest = {
  apiVersion: 'swarmvirt.dev/v1alpha1',
  kind: 'VirtualMachine',
  metadata: { name: 'web' },
  spec: { memory: '1Gi', disks: [{ name: 'root', size: '1Gi', image: { source: 'images/a.qcow2' } }] },
}

let directory = ''
let found: readonly { readonly code: string; readonly file: string }[] = []

beforeAll(async () => {
  directory = mkdtempSync(join(tmpdir(), 'codes-'))
  for (const [code, content] of Object.entries(inputs)) {
    if (content === undefined) symlinkSync('nowhere', join(directory, `${code}.yaml`))
    else writeFileSync(join(directory, `${code}.yaml`), content)
  }
  const { out } = await runCli(['validate', directory, '-o', 'json'])
  const { errors, warnings } = JSON.parse(out) as Record<'errors' | 'warnings', typeof found>
  found = [...errors, ...warnings]
})
afterAll(() => rmSync(directory, { recursive: true }))

/** Every code that stands anywhere below `src`. */
function codesInSource(): readonly string[] {
  const files = readdirSync(join(root, 'src'), { recursive: true, encoding: 'utf8' }).filter((file) => file.endsWith('.ts'))
  const codes = files.flatMap((file) => readFileSync(join(root, 'src', file), 'utf8').match(/VM\d{3}/g) ?? [])
  return [...new Set(codes)].toSorted()
}

describe('the error codes of manifests', () => {
  const paragraphs = readFileSync(join(root, 'docs/errors/manifests.md'), 'utf8').match(/^\*\*VM\d{3}\*\*: \S.{60,}$/gm) ?? []

  it.each(Object.keys(inputs))('%s comes of its input, and of no other mistake in it', (code) => {
    const own = found.filter(({ file }) => file.endsWith(`${code}.yaml`))
    expect([...new Set(own.map((issue) => issue.code))]).toEqual([code])
  })

  it('VM013 comes of the rules', () => {
    const codes = (spec: object): unknown => {
      const parsed = parseVirtualMachine({ ...smallest, spec: { ...smallest.spec, ...spec } })
      return !parsed.ok && parsed.issues.map((issue) => issue.code)
    }
    const twice = [
      { name: 'lan', bridge: 'br0' },
      { name: 'lan', bridge: 'br1' },
    ]
    expect(codes({ networks: twice })).toEqual(['VM013'])
    const both = [{ name: 'lan', bridge: 'br0', direct: { device: 'eth1' } }]
    expect(brokenRules({ spec: { networks: both } }).map((issue) => issue.code)).toEqual(['VM013'])
    expect(codes({ networks: both })).toEqual(['VM013'])
  })

  it('are those that the source knows, each with one input here and one paragraph in docs/errors/manifests.md, in order', () => {
    expect([...Object.keys(inputs), 'VM013'].toSorted()).toEqual(codesInSource())
    expect(paragraphs.map((text) => text.slice(2, 7))).toEqual(codesInSource())
  })
})
