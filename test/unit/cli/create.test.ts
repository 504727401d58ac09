import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import { create } from '../../../src/cli/offline/create.ts'
import { runCli } from './run-cli.ts'

const ed25519 = 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk "o\'brien": #1@host'

function read(text: string) {
  const [document] = manifestReader()('directory', 'x.yaml', new TextEncoder().encode(text))
  return document !== undefined && 'vm' in document ? document.vm : undefined
}

describe('the scaffold', () => {
  it.each(['web', 'true', '12', '1e3', 'n', '0x1f', `a${'-'.repeat(48)}b`])('of %s is valid and has that name', (name) => {
    expect(read(create(name, [], () => 'about'))?.metadata.name).toBe(name)
  })

  it('holds public keys as they are, each once, and nothing else that stands in such files', () => {
    const certificate = 'ssh-ed25519-cert-v01@openssh.com AAAA'
    const vm = read(
      create('web', ['# mine', '', ed25519, ed25519, certificate, 'BEGIN OPENSSH PRIVATE KEY', `${ed25519}\u001B[2J`], () => 'x'),
    )
    expect(vm?.spec.cloudInit.sshAuthorizedKeys).toEqual([ed25519])
  })

  it('takes no more keys than the schema does', () => {
    const keys = Array.from({ length: 80 }, (_, index) => `${ed25519} ${index}`)
    expect(read(create('web', keys, () => 'x'))?.spec.cloudInit.sshAuthorizedKeys).toHaveLength(64)
  })

  it('is valid too where the examples in its comments are taken in', () => {
    const text = create('web', [], () => 'About it.')
    const used = text
      .replace('# readiness', 'readiness')
      .replaceAll(/^( {4})# (userData: \||  #cloud-config|  package_update: true)$/gm, '$1$2')
    expect(read(used)?.spec).toMatchObject({ readiness: { tcp: 22 }, cloudInit: { userData: '#cloud-config\npackage_update: true\n' } })
  })
})

describe('create as a program', () => {
  let home = ''
  beforeAll(async () => {
    home = await mkdtemp(join(tmpdir(), 'create-'))
    await mkdir(join(home, '.ssh'))
    await writeFile(join(home, '.ssh/id_ed25519.pub'), `${ed25519}\n`)
    await writeFile(join(home, '.ssh/id_ed25519'), 'ssh-secret AAAA\n')
  })
  afterAll(() => rm(home, { recursive: true }))

  it('prints what validate accepts, with the keys in ~/.ssh/*.pub and a description above each field', async () => {
    const made = await runCli(['create', 'web'], { env: { HOME: home } })
    expect(made).toMatchObject({ exit: 0, err: '' })
    expect(read(made.out)?.spec.cloudInit.sshAuthorizedKeys).toEqual([ed25519])
    expect(made.out.split('\n').filter((line) => /^\s*#\s*$/.test(line))).toEqual([])
    expect(await runCli(['validate', '-'], { input: made.out })).toMatchObject({ exit: 0 })
  })

  it('leaves the sizes to a class that is named', async () => {
    const { out } = await runCli(['create', 'web', '--class', 'small'])
    expect(out).toMatch(/^ {2}class: small$/m)
    expect(out).not.toMatch(/^ {2}(memory|cpu):/m)
    expect(await runCli(['create', 'web', '--class', 'Small'])).toMatchObject({ exit: 2, out: '' })
  })

  it('prints the JSON Schema that its first lines mention, identical to the file in the repository', async () => {
    const { exit, out } = await runCli(['schema'])
    expect(exit).toBe(0)
    expect(out).toBe(await readFile(join(import.meta.dirname, '../../../manifests/schema/swarmvirt.schema.json'), 'utf8'))
  })

  it('exits with 2 for a name that no VM can have', async () => {
    expect(await runCli(['create', 'Web_1'])).toMatchObject({ exit: 2, out: '' })
  })
})
