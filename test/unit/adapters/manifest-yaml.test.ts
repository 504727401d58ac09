import { queryObjects } from 'node:v8'
import { describe, expect, it } from 'vitest'
import { YAMLMap } from 'yaml'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import type { ReadDocument } from '../../../src/api/manifest/source-documents.ts'

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

function documents(text: string | Uint8Array): readonly ReadDocument[] {
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
  it('is not kept once it was read: thousands of documents are held for as long as the controller runs', () => {
    const trees = (): number => queryObjects(YAMLMap, { format: 'count' })
    const before = trees()
    const classed = web.replace('  memory: 512Mi\n', '  class: small\n')
    const held = [...documents(web), ...documents(classed)]
    expect(held.map((one) => one.ok)).toEqual([true, true])
    expect(trees()).toBe(before)
    expect(held).toHaveLength(2)
  })

  it('gives every document with the line it begins at', () => {
    const found = documents(`# two of them\n${web}---\n${web.replace('web', 'db')}---\n# nothing here\n`)
    expect(found.map((one) => 'vm' in one && [one.vm.metadata.name, one.origin.line])).toEqual([
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
    expect(issues(`${web}  placement: {}\n`)).toMatchObject([{ code: 'VM020', at: '11:3' }])
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

describe('a file that is not a manifest', () => {
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
    ['keys on one line', 'a: '.repeat(10_000)],
    ['keys in one entry', `{${'a: '.repeat(10_000)}`],
    ['explicit keys', '? '.repeat(100_000)],
    ['anchors', '&a '.repeat(80_000)],
    ['tags', '!a '.repeat(80_000)],
    ['ever deeper lines', Array.from({ length: 700 }, (_, indent) => `${' '.repeat(indent)}a:`).join('\n')],
    [
      'compact sequences on ever deeper lines',
      Array.from({ length: 100 }, (_, line) => `${' '.repeat(line * 20)}${'- '.repeat(10)}`).join('\n'),
    ],
    ['mappings as keys', `${'? '.repeat(40)}x`],
    [
      'aliases that multiply',
      `a: &a [${'x,'.repeat(100)}]\nb: &b [*a,*a,*a,*a]\nc: &c [*b,*b,*b,*b]\nd: &d [*c,*c,*c,*c]\ne: [*d,*d,*d,*d]`,
    ],
    ['an alias inside itself', '&a [*a]'],
  ]
  it.each(table)('of %s is refused', (_what, text) => {
    const found = codes(text)
    expect(found.length).toBeGreaterThan(0)
    expect(['VM002', 'VM003']).toContain(found[0])
  })

  it('distinguishes it from a deeply indented script, and from text with brackets', () => {
    const script = Array.from({ length: 20 }, (_, level) => `${' '.repeat(6 + level * 2)}if [[ x ]]; then [ {`).join('\n')
    const text = `${web}  cloudInit:\n    userData: |\n${script}\n`
    expect(codes(text)).toEqual([])
  })
})

describe('a refusal stands where its cause is', () => {
  const cores = (value: string): string => web.replace('cores: 1', value)
  const labels = (value: string): string => web.replace('{name: web}', `{name: web, labels: {${value}}}`)
  const table: readonly [string, string | Uint8Array, string][] = [
    ['a NUL', web.replace('512Mi', '512\0Mi'), 'VM004 5:14'],
    ['an escape sequence in a comment', `${web}# \u001b[31m\n`, 'VM004 11:3'],
    ['a byte order mark before a second document', `${web}---\n\ufeff${web}`, 'VM004 12:1'],
    ['half a character in bytes', new Uint8Array([...new TextEncoder().encode(web), 0x23, 0xed, 0xa0, 0x80]), 'VM004 11:2'],
    ['half a character by escape', labels('a: "\\ud800"'), 'VM004 3:35'],
    ['a NUL by escape', labels('a: "\\0"'), 'VM004 3:35'],
    ['UTF-16', new Uint8Array(Buffer.from(web, 'utf16le')), 'VM004 1:2'],
    ['YAML 1.1', `%YAML 1.1\n---\n${web}`, 'VM002 1:1'],
    ['a tag directive', `# ours\n%TAG ! tag:x,2000:\n---\n${web}`, 'VM002 2:1'],
    ['binary', cores('cores: !!binary aGVsbG8='), 'VM002 6:16'],
    ['a set', cores('cores: !!set {a}'), 'VM002 6:16'],
    ['a merge key', cores('<<: {cores: 1}'), 'VM012 6:9'],
    ['a key twice', cores('cores: 1, cores: 2'), 'VM002 6:19'],
    ['a key twice, once in quotes', cores('cores: 1, "cores": 2'), 'VM002 6:19'],
    ['an alias as a key', web.replace('metadata: {name: web}', 'metadata: {&n name: web, *n : x}'), 'VM003 3:26'],
    ['an alias without an anchor', cores('cores: *nobody'), 'VM003 6:16'],
    ['an alias inside itself', web.replace('cpu: {cores: 1}', 'cpu: &c {cores: *c}'), 'VM003 6:19'],
    ['one alias too many', web.replace('metadata', `a: [&a x${', *a'.repeat(21)}]\nmetadata`), 'VM003 3:91'],
    ['aliases that stand for too much', `a: &a [${'x,'.repeat(4_000)}]\nb: &b [*a,*a]\n${web}`, 'VM003 2:8'],
    ['deep flow', web.replace('cpu: {cores: 1}', `cpu: ${'['.repeat(70)}`), 'VM003 6:72'],
    ['deep flow after brackets that nothing opened', `${']'.repeat(1_000)}${'['.repeat(900)}`, 'VM003 1:1065'],
    ['deep compact blocks', web.replace('cpu: {cores: 1}', `cpu:\n    ${'- '.repeat(70)}x`), 'VM003 7:131'],
    ['many lines', `${web}${'\n'.repeat(20_000)}`, 'VM003 20000:1'],
    ['many documents of many values', '--- [a,a,a,a,a,a,a,a,a,a]\n'.repeat(950), 'VM003 682:21'],
    ['many documents that dots end', '...\na\n'.repeat(1_100), 'VM003 2001:1'],
    ['many marks with nothing beside them', '?\n'.repeat(10_100), 'VM003 10000:1'],
    ['many comments', '#c\n'.repeat(15_100), 'VM003 15001:1'],
    ['many empty collections', `a: [${'[],'.repeat(6_000)}]`, 'VM003 1:15001'],
    ['a prototype', web.replace('cpu: {cores: 1}', '__proto__: {polluted: 1}'), 'VM012 6:3'],
    ['a prototype among labels', labels('__proto__: a'), 'VM012 3:32'],
    ['a constructor', `constructor: x\n${web}`, 'VM012 1:1'],
    ['a tab as indentation', web.replace('  memory', '\tmemory'), 'VM002 5:1'],
  ]
  it.each(table)('for %s', (_what, text, where) => {
    expect(`${codes(text)[0]} ${issues(text)[0]?.at}`).toBe(where)
  })

  it('and what only looks unusual is read', () => {
    const unusual = [`\ufeff${web}`, web.replaceAll('\n', '\r\n'), web.replace('memory: ', 'memory:\t'), `%YAML 1.2\n---\n${web}`]
    const many = Array.from({ length: 200 }, (_, index) => `k${index}: v`).join(', ')
    expect([...unusual, labels(many), cores('cores: !!int 1')].flatMap(codes)).toEqual([])
  })
})

describe('a broken manifest', () => {
  it('shows its errors in the order of the text, fifty at most, and says how many more there are', () => {
    const mixed = issues(
      web
        .replace('spec:', 'spec:\n  last: 1\n  networks: 1\n  first: 1')
        .replace(/  networks:\n.*\n/, '')
        .replace('512Mi', '1'),
    )
    expect(mixed.map((one) => Number(one.at.split(':')[0]))).toEqual([5, 6, 7, 8])
    const found = issues(`${web.replace('512Mi', '1')}${Array.from({ length: 200 }, (_, index) => `  k${index}: v`).join('\n')}\n`)
    expect(found.map((one) => Number(one.at.split(':')[0])).slice(0, 3)).toEqual([5, 11, 12])
    expect(found).toHaveLength(51)
    expect(found.at(-1)?.rendered).toContain('and 151 errors more')
  })

  it('quotes a little of a long value, and nothing that a terminal obeys', () => {
    const [long] = issues(web.replace('512Mi', 'x'.repeat(100_000)))
    expect(long?.rendered.length).toBeLessThan(1_000)
    expect(issues(web.replace('512Mi', '"\\e[31m"'))[0]?.rendered).not.toContain('\u001b')
    expect(read('directory', 'a\u001b[2J.yaml', new TextEncoder().encode('a'))[0]).not.toMatchObject({
      issues: [{ rendered: expect.stringContaining('\u001b') as string }],
    })
  })

  // Each took from a third of a second to eight seconds of the processor, whatever else a machine does.
  const slow: readonly [string, string][] = [
    ['empty lines', '\n'.repeat(250_000)],
    ['commas', `[${','.repeat(250_000)}`],
    ['brackets', '[]'.repeat(125_000)],
    ['closing braces', '}'.repeat(250_000)],
    ['lists as keys', '[]: []\n'.repeat(35_000)],
    ['the same key', 'a: 1\n'.repeat(50_000)],
    ['directives', '%\n'.repeat(125_000)],
    ['unknown escapes', `a: "${'\\q'.repeat(125_000)}"`],
    ['unknown fields', `${web}${Array.from({ length: 4_900 }, (_, index) => `  k${index}: v`).join('\n')}`],
  ]
  it.each(slow)('of many %s costs little', (_what, text) => {
    const before = process.cpuUsage()
    expect(codes(text).length).toBeGreaterThan(0)
    expect(process.cpuUsage(before).user / 1_000).toBeLessThan(2_000)
  })
})
