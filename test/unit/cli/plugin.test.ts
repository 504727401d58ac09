import { spawnSync } from 'node:child_process'
import { copyFileSync, mkdirSync, mkdtempSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildCli } from '../../../scripts/build-cli.ts'
import { release } from '../../../src/api/release.ts'
import { tooOldNode } from '../../../src/cli/runtime.ts'
import { manifest } from '../../e2e/support.ts'

let folder = ''
let plugin = ''

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), 'plugin-'))
  plugin = await buildCli(join(folder, 'built'))
})
afterAll(() => rmSync(folder, { recursive: true }))

function call(args: readonly string[], env: Readonly<Record<string, string>> = {}, program = plugin) {
  const { status, stdout, stderr } = spawnSync(program, [...args], {
    env: { PATH: process.env['PATH'] ?? '', HOME: folder, SWARMVIRT_NODE: process.execPath, ...env },
    encoding: 'utf8',
  })
  return { exit: status, out: stdout, err: stderr }
}

describe('the plugin as it ships', () => {
  it('gives its metadata without any Node', () => {
    const { exit, out } = call(['docker-cli-plugin-metadata'], { PATH: '/nonexistent', SWARMVIRT_NODE: '/nonexistent' })
    expect(exit).toBe(0)
    expect(JSON.parse(out)).toEqual({
      SchemaVersion: '0.1.0',
      Vendor: 'swarmvirt',
      Version: release,
      ShortDescription: 'Virtual machines on Docker Swarm',
    })
  })

  it('runs as Docker calls it, alone, and through links', () => {
    symlinkSync('built/docker-vm', join(folder, 'relative'))
    symlinkSync(join(folder, 'relative'), join(folder, 'absolute'))
    for (const program of [plugin, join(folder, 'relative'), join(folder, 'absolute')]) {
      expect(call(['--context', 'x', 'vm', 'version'], {}, program)).toEqual({ exit: 0, out: `${release}\n`, err: '' })
      expect(call(['version'], {}, program).out).toBe(`${release}\n`)
    }
  })

  it('says what is missing: a Node, a newer one, or its other file', () => {
    expect(call(['ls'], { SWARMVIRT_NODE: 'no-such-node' })).toMatchObject({
      exit: 2,
      err: expect.stringContaining('needs Node.js 22') as string,
    })
    expect(tooOldNode('20.20.2')).toContain('this is 20.20.2')
    expect(tooOldNode('22.1.0')).toBeUndefined()
    mkdirSync(join(folder, 'alone'))
    copyFileSync(plugin, join(folder, 'alone/docker-vm'))
    const alone = spawnSync('/bin/sh', [join(folder, 'alone/docker-vm'), 'ls'], { encoding: 'utf8' })
    expect(alone).toMatchObject({ status: 2, stderr: expect.stringContaining('swarmvirt-cli.cjs') as string })
  })

  it('says what is wrong without the locales of zod, which it leaves out', () => {
    writeFileSync(
      join(folder, 'bad.yaml'),
      'apiVersion: swarmvirt.dev/v1alpha1\nkind: VirtualMachine\nmetadata: {name: a}\nspec: {memory: 5}\n',
    )
    const { exit, out } = call(['validate', join(folder, 'bad.yaml')])
    expect(exit).toBe(1)
    expect(out).toContain('5 has no unit')
  })
})

describe('files that are named twice', () => {
  it('count once, also where one lies in a directory that is named', () => {
    const vms = join(folder, 'vms')
    mkdirSync(vms)
    const small = 'apiVersion: swarmvirt.dev/v1alpha1\nkind: VirtualMachineClass\nmetadata: {name: small}\nspec: {memory: 256Mi}\n'
    writeFileSync(join(vms, 'small.yaml'), small)
    writeFileSync(join(vms, 'web.yaml'), manifest('web'))
    expect(call(['validate', vms, join(vms, 'small.yaml'), `${vms}/../vms/web.yaml`, join(vms, 'web.yaml')])).toMatchObject({ exit: 0 })
  })
})

describe("Docker's flags", () => {
  it('go on to the docker that is called, and --config moves the login file', () => {
    mkdirSync(join(folder, 'bin'))
    writeFileSync(join(folder, 'bin/docker'), `#!/bin/sh\nprintf '%s\\n' "$*" >> ${folder}/called\n`, { mode: 0o755 })
    const env = { PATH: `${folder}/bin:${process.env['PATH']}` }
    const args = ['--context', 'x', '--tlsverify', '--config', join(folder, 'conf'), 'vm']
    call([...args, 'delete', 'web'], env)
    expect(readFileSync(join(folder, 'called'), 'utf8')).toBe(
      `--context x --tlsverify --config ${folder}/conf config ls --filter label=swarmvirt.manifest=true --format {{.ID}}\n`,
    )
    mkdirSync(join(folder, 'conf'))
    const login = { server: 'https://127.0.0.1:1', fingerprint: 'AA', token: 't' }
    writeFileSync(join(folder, 'conf/swarmvirt.json'), JSON.stringify({ version: 2, logins: { 'context:x': login } }))
    expect(call([...args, 'ls'], env).err).toContain('https://127.0.0.1:1')
    expect(call(['--config', join(folder, 'conf'), 'vm', 'ls'], env).err).toContain('not logged in')
  })
})

describe('completion', () => {
  const asked = (...words: string[]) => call(['__complete', 'vm', ...words]).out.split('\n')

  it('gives the verbs with what they do', () => {
    expect(asked('a')).toEqual(['apply\tdeclare VMs from manifests, stored as Swarm configs', ':4', ''])
    expect(call(['__completeNoDesc', 'vm', 'app']).out).toBe('apply\n:4\n')
  })

  it('gives the flags of a verb, and files where a file is to be named', () => {
    expect(asked('apply', '--p')).toEqual([expect.stringMatching(/^--prune\t/), ':4', ''])
    expect(asked('apply', '-f', '')).toEqual([':0', ''])
    expect(asked('validate', '')).toEqual([':0', ''])
    expect(asked('completion', 'b')).toEqual(['bash', ':4', ''])
  })

  it('lists no VMs, and reports no error, without a login', () => {
    expect(asked('delete', '')).toEqual([':4', ''])
  })

  it('fills in the verb in bash', () => {
    const script = `eval "$(docker-vm completion bash)"; COMP_WORDS=(docker-vm app); COMP_CWORD=1; _docker_vm; printf '%s ' "\${COMPREPLY[@]}"`
    const { stdout } = spawnSync('bash', ['-c', script], {
      env: { PATH: `${join(folder, 'built')}:${process.env['PATH']}`, HOME: folder, SWARMVIRT_NODE: process.execPath },
      encoding: 'utf8',
    })
    expect(stdout).toBe('apply ')
  })

  it.each(['bash', 'zsh', 'fish'])('has a script for %s that its shell reads', (shell) => {
    const { exit, out } = call(['completion', shell])
    expect(exit).toBe(0)
    const read = spawnSync(shell, ['-n'], { input: out, encoding: 'utf8' })
    // A shell that is not installed cannot be asked.
    if (read.error === undefined) expect(read).toMatchObject({ status: 0, stderr: '' })
  })
})
