import { mkdir, mkdtemp, rm, symlink, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import { validate } from '../../../src/cli/offline/validate.ts'
import type { SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { runCli } from './run-cli.ts'

const samples = join(import.meta.dirname, '../../../manifests')
const good = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: web }
spec:
  memory: 1Gi
  disks: [{ name: root, size: 1Gi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, bridge: br0 }]
`
const bad = good.replace('memory: 1Gi', 'cpus: 2').replace('br0', '"br 0"')
const named = (name: string, text: string): string => text.replace('web', name)
const withNic = (name: string, nic: string): string => named(name, good).replace('bridge: br0', `bridge: br0, ${nic}`)
const twice = (file: string, text: string): SourceSnapshot[] => [snapshot(file, text), snapshot(file, text)]

function snapshot(file: string, text: string): SourceSnapshot {
  return {
    source: 'directory',
    complete: true,
    message: '',
    documents: manifestReader()('directory', file, new TextEncoder().encode(text)),
  }
}

describe('the answer of validate', () => {
  it('has all errors of all files, sorted by file, line and column', () => {
    const { exit, out } = validate(
      [snapshot('z.yaml', named('z', bad)), snapshot('a.yaml', named('a', bad)), snapshot('m.yaml', good)],
      'json',
    )
    const answer = JSON.parse(out) as { valid: boolean; errors: { file: string; line: number; column: number; code: string }[] }
    expect(exit).toBe(1)
    expect(answer.valid).toBe(false)
    expect(answer.errors.map((error) => `${error.file}:${error.line}:${error.column} ${error.code}`)).toEqual([
      'a.yaml:4:1 VM011',
      'a.yaml:5:3 VM012',
      'a.yaml:7:35 VM010',
      'z.yaml:4:1 VM011',
      'z.yaml:5:3 VM012',
      'z.yaml:7:35 VM010',
    ])
  })

  it('counts a file that is named twice once', () => {
    const { out } = validate([...twice('a.yaml', named('a', bad)), ...twice('m.yaml', good)], 'text')
    expect(out.trimEnd().split('\n').at(-1)).toBe('3 errors in 1 file; 1 valid VirtualMachine in 1 file')
  })

  it('counts every document of a file', () => {
    const { out } = validate([snapshot('m.yaml', `${good}---\n${good.replace('web', 'db')}`)], 'text')
    expect(out).toBe('2 valid VirtualMachines in 1 file\n')
  })

  it('has warnings of user data, which make nothing invalid', () => {
    const useless = `${good}  cloudInit: { userData: "packages: [curl]" }\n`
    const of = (format: 'text' | 'json' | 'github') => validate([snapshot('a.yaml', useless)], format)
    expect([of('text').exit, of('json').exit, of('github').exit]).toEqual([0, 0, 0])
    expect(of('text').out).toMatch(/^warning\[VM040\]: [^]*1 warning in 1 file; 1 valid VirtualMachine in 1 file\n$/)
    expect(JSON.parse(of('json').out)).toMatchObject({ valid: true, errors: [], warnings: [{ code: 'VM040', line: 8 }] })
    expect(of('github').out).toMatch(/^::warning file=a\.yaml,line=8,col=\d+,title=VM040::/)
  })

  it('is an annotation a line for GitHub, with nothing in a name that could end it', () => {
    const { out } = validate([snapshot('a,b:c%.yaml', bad)], 'github')
    expect(out.split('\n')).toHaveLength(4)
    expect(out).toContain('::error file=a%2Cb%3Ac%25.yaml,line=5,col=3,title=VM012::unknown field "cpus"%0Ahelp: did you mean "cpu"?\n')
  })

  it('is 2 as soon as something could not be read, even where the rest is valid', () => {
    const hidden: SourceSnapshot = { source: 'directory', complete: false, message: 'x cannot be read (EACCES)', documents: [] }
    expect(validate([snapshot('m.yaml', good), hidden], 'text')).toMatchObject({ exit: 2, err: 'error: x cannot be read (EACCES)\n' })
  })
})

describe('what several documents claim', () => {
  const said = (...snapshots: SourceSnapshot[]): string[] => {
    const { exit, out } = validate(snapshots, 'text')
    expect(exit).toBe(1)
    return out.split('\n\n')
  }

  it('is reported at the later one with the place of the first, for a VM that is declared twice (VM030)', () => {
    expect(said(snapshot('b.yaml', good), snapshot('a.yaml', `---\n${good}`))).toEqual([
      `error[VM030]: VM "web" is declared twice; a.yaml:2 keeps it
 --> b.yaml:3:19
2 | kind: VirtualMachine
3 | metadata: { name: web }
  |                   ^^^
4 | spec:
help: give this one another name or delete one of the two`,
      '1 error in 1 file; 1 valid VirtualMachine in 1 file\n',
    ])
  })

  it('counts a declaration that is wrong otherwise', () => {
    expect(said(snapshot('a.yaml', bad), snapshot('b.yaml', good)).filter((one) => one.includes('VM030'))).toHaveLength(1)
  })

  it('is reported at the MAC, in whatever format the other one has it (VM031)', () => {
    const [first, summary] = said(
      snapshot('a.yaml', withNic('web-1', 'mac: 52:54:00:AA:BB:01')),
      snapshot('b.yaml', withNic('web-2', 'mac: 52-54-00-aa-bb-01')),
    )
    expect(first).toBe(`error[VM031]: MAC 52:54:00:aa:bb:01 belongs to VM "web-1" (a.yaml:1)
 --> b.yaml:7:45
6 |   disks: [{ name: root, size: 1Gi, image: { source: images/a.qcow2 } }]
7 |   networks: [{ name: lan, bridge: br0, mac: 52-54-00-aa-bb-01 }]
  |                                             ^^^^^^^^^^^^^^^^^
8 |
help: change the MAC of one VM; this document is accepted once VM "web-1" no longer uses it`)
    expect(summary).toBe('1 error in 1 file; 1 valid VirtualMachine in 1 file\n')
  })

  it('is reported at the address, also for several documents in one file', () => {
    const nic = 'mac: 52:54:00:aa:bb:01, address: 192.168.50.42'
    const file = [withNic('web-1', nic), withNic('web-2', nic)].join('---\n')
    const [mac, address] = said(snapshot('a.yaml', file))
    expect(mac).toContain(' --> a.yaml:15:45\n')
    expect(address).toContain('error[VM031]: address 192.168.50.42 belongs to VM "web-1" (a.yaml:1)\n --> a.yaml:15:73\n')
  })

  it('is nothing where the MACs are auto, since they follow from the cluster', () => {
    expect(validate([snapshot('a.yaml', withNic('web-1', 'mac: auto')), snapshot('b.yaml', good)], 'text').exit).toBe(0)
  })

  it('leaves what a refused document claims to others', () => {
    const nic = 'mac: 52:54:00:aa:bb:01'
    const documents = [snapshot('a.yaml', good), snapshot('b.yaml', withNic('web', nic)), snapshot('c.yaml', withNic('db', nic))]
    expect(said(...documents)[0]).toContain('VM030')
    expect(said(...documents)).toHaveLength(2)
  })
})

describe('validate as a program', () => {
  let folder = ''
  beforeAll(async () => {
    folder = await mkdtemp(join(tmpdir(), 'validate-'))
    await writeFile(join(folder, 'good.yaml'), good)
    await writeFile(join(folder, 'bad.yml'), bad)
    await writeFile(join(folder, 'manifest.txt'), good)
  })
  afterAll(() => rm(folder, { recursive: true }))

  it('finds every sample valid', async () => {
    expect(await runCli(['validate', samples])).toMatchObject({ exit: 0, err: '' })
  })

  it('exits with 1 for a directory with an invalid file, and names it by the path that leads there', async () => {
    const { exit, out } = await runCli(['validate', folder])
    expect(exit).toBe(1)
    expect(out).toContain(` --> ${folder}/bad.yml:5:3\n`)
  })

  it('reads a file that is named, whatever its ending', async () => {
    expect(await runCli(['validate', join(folder, 'manifest.txt')])).toMatchObject({ exit: 0 })
  })

  it('reports a document of another kind as an error, unless these are ignored', async () => {
    const input = `${good}---\nservices: { web: { image: nginx } }\n`
    expect(await runCli(['validate', '-'], { input })).toMatchObject({ exit: 1, out: expect.stringContaining('error[VM005]') as string })
    const left = await runCli(['validate', '--ignore-other-kinds', '-'], { input })
    expect(left).toMatchObject({ exit: 0, out: '1 valid VirtualMachine in 1 file\n' })
    expect(await runCli(['validate', '--ignore-other-kinds', '-'], { input: bad })).toMatchObject({ exit: 1 })
  })

  it('does not open what a link leads out to, or what looks like a secret', async () => {
    const inside = await mkdtemp(join(tmpdir(), 'validate-'))
    await writeFile(join(inside, 'secrets.yaml'), 'token: [5ec7e7\n')
    await mkdir(join(inside, 'vms'))
    await symlink(join(inside, 'secrets.yaml'), join(inside, 'vms/extra.yaml'))
    for (const path of ['vms', '.']) {
      const { exit, out, err } = await runCli(['validate', join(inside, path)])
      expect([exit, `${out}${err}`]).toEqual([2, expect.not.stringContaining('5ec7e7')])
    }
    expect((await runCli(['validate', join(inside, 'secrets.yaml')])).out).toContain('5ec7e7')
    await rm(inside, { recursive: true })
  })

  it('reads standard input', async () => {
    expect(await runCli(['validate', '-'], { input: bad })).toMatchObject({ exit: 1 })
    expect(await runCli(['vm', 'validate', '-'], { input: good })).toMatchObject({ exit: 0 })
  })

  it.each([
    ['a path that is not there', ['validate', '/nonexistent/x.yaml'], 'ENOENT'],
    ['no path', ['validate'], "missing required argument 'path'"],
    ['an output that does not exist', ['validate', samples, '--output', 'xml'], '--output must be one of text, json, github, not "xml"'],
    ['an unknown verb', ['valiadte', samples], "unknown command 'valiadte'"],
  ])('exits with 2 for %s', async (_what, args, message) => {
    const { exit, err } = await runCli(args)
    expect(exit).toBe(2)
    expect(err).toContain(message)
  })
})
