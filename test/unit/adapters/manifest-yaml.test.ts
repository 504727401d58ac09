import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest-yaml.ts'
import type { SourceDocument } from '../../../src/ports/manifest-source.ts'

const web = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: {name: web}
spec:
  memory: 512Mi
  cpu: {cores: 1}
  disks:
    - {name: root, size: 1Gi, image: {source: images/tiny.qcow2}}
  networks:
    - {name: lan, bridge: br0}
`
const read = manifestReader()

function documents(text: string | Uint8Array): readonly SourceDocument[] {
  return read('directory', 'web.yaml', typeof text === 'string' ? new TextEncoder().encode(text) : text)
}

function issues(text: string | Uint8Array): { code: string; at: string; rendered: string }[] {
  return documents(text).flatMap((document) =>
    document.ok
      ? []
      : document.issues.map((issue) => ({ code: issue.code, at: `${issue.line}:${issue.column}`, rendered: issue.rendered })),
  )
}

function codes(text: string | Uint8Array): string[] {
  return issues(text).map((issue) => issue.code)
}

describe('a manifest file', () => {
  it('gives every document with the line it begins at', () => {
    const found = documents(`# two of them\n${web}---\n${web.replace('web', 'db')}---\n# nothing here\n`)
    expect(found.map((one) => one.ok && [one.vm.metadata.name, one.origin.line])).toEqual([
      ['web', 2],
      ['db', 13],
    ])
  })

  it('gives nothing where nothing is written', () => {
    expect([documents(''), documents('# later\n'), documents('---\n---\n')]).toEqual([[], [], []])
  })

  it('shows an unknown field as a compiler would, with the one that was meant', () => {
    expect(issues(web.replace('cpu:', 'cpus:'))).toEqual([
      {
        code: 'VM012',
        at: '6:3',
        rendered: [
          'error[VM012]: unknown field "cpus"',
          ' --> web.yaml:6:3',
          '5 |   memory: 512Mi',
          '6 |   cpus: {cores: 1}',
          '  |   ^^^^',
          '7 |   disks:',
          'help: did you mean "cpu"?',
        ].join('\n'),
      },
    ])
  })

  it('lists the fields there are where nothing similar exists', () => {
    expect(issues(web.replace('cores: 1', 'flavour: 1'))[0]?.rendered).toContain('help: fields here are cores')
  })

  it('points at values that are wrong and at the place where something is missing', () => {
    expect(issues(web.replace('512Mi', '512Xi'))).toMatchObject([{ code: 'VM010', at: '5:11' }])
    expect(issues(web.replace('  memory: 512Mi\n', ''))).toMatchObject([{ code: 'VM011', at: '4:1' }])
    expect(issues(`${web}  class: small\n`)).toMatchObject([{ code: 'VM020', at: '11:3' }])
  })

  it('keeps the name of a document that is broken otherwise', () => {
    const found = [...documents(web.replace('cpu:', 'cpus:')), ...documents(web.replace('VirtualMachine', 'VirtualMaschine'))]
    expect(found.map((one) => !one.ok && one.name)).toEqual(['web', 'web'])
  })

  it('has no document at all that can be trusted after a syntax error', () => {
    expect(documents(`${web}---\nmetadata: {name: db: x}\n`).map((one) => one.ok || one.name)).toEqual([undefined])
  })

  it('does not let control characters through to a terminal', () => {
    expect(issues(web.replace('cores: 1', 'cores: "\u001b[31m1"'))[0]?.rendered).not.toContain('\u001b')
    expect(issues(web.replace('512Mi', '512\u202eXi'))[0]?.rendered.split('\n')[3]).not.toContain('\u202e')
  })
})

describe('what is no manifest', () => {
  const table: readonly [string, string | Uint8Array, string][] = [
    ['a syntax error', 'a: [1', 'VM002'],
    ['a key that is there twice', 'a: 1\na: 2', 'VM002'],
    ['a tag that nobody knows', 'a: !!python/object x', 'VM002'],
    ['a file above 256 KiB', `#${'x'.repeat(256 * 1024)}`, 'VM003'],
    ['more values than any manifest has', `a: [${'1,'.repeat(11_000)}]`, 'VM003'],
    ['more documents than any file has', '--- a\n'.repeat(1_001), 'VM003'],
    ['bytes that are not UTF-8', new Uint8Array([0x61, 0x3a, 0x20, 0xff]), 'VM004'],
    ['another kind', 'apiVersion: v1\nkind: ConfigMap\n', 'VM005'],
    ['a list', '- a\n- b\n', 'VM005'],
    ['a text', 'hello\n', 'VM005'],
  ]
  it.each(table)('%s is %s', (_what, text, code) => {
    expect(new Set(codes(text))).toEqual(new Set([code]))
  })
})

describe('hostile nesting', () => {
  const table: readonly [string, string][] = [
    ['open brackets', '['.repeat(100_000)],
    ['closed brackets', `${'['.repeat(1_000)}${']'.repeat(1_000)}`],
    ['brackets whose ends stand in quotes', '["]]]]]", '.repeat(1_000)],
    ['braces', '{a: '.repeat(1_000)],
    ['compact sequences', '- '.repeat(100_000)],
    ['explicit keys', '? '.repeat(100_000)],
    ['anchors', '&a '.repeat(80_000)],
    ['tags', '!a '.repeat(80_000)],
    ['ever deeper lines', Array.from({ length: 700 }, (_, indent) => `${' '.repeat(indent)}a:`).join('\n')],
    [
      'compact sequences on ever deeper lines',
      Array.from({ length: 100 }, (_, line) => `${' '.repeat(line * 20)}${'- '.repeat(10)}`).join('\n'),
    ],
    ['mappings as keys', `${'? '.repeat(40)}x`],
    ['aliases that multiply', 'a: &a [x,x]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: [*d,*d,*d,*d]'],
    ['an alias inside itself', '&a [*a]'],
  ]
  it.each(table)('of %s is refused', (_what, text) => {
    const found = codes(text)
    expect(found.length).toBeGreaterThan(0)
    expect(['VM002', 'VM003']).toContain(found[0])
  })

  it('is told apart from a script that is indented deeply, and from text with brackets', () => {
    const script = Array.from({ length: 20 }, (_, level) => `${' '.repeat(6 + level * 2)}if [[ x ]]; then [ {`).join('\n')
    const text = `${web}  cloudInit:\n    userData: |\n${script}\n`
    expect(codes(text)).toEqual([])
  })
})
