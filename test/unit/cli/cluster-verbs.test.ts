import { once } from 'node:events'
import { mkdtemp, readFile, rm, stat, writeFile } from 'node:fs/promises'
import type { AddressInfo } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createServer, type Server, type TLSSocket } from 'node:tls'
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { type Listening, listenApi } from '../../../src/adapters/controller-api/api-server.ts'
import { selfSignedCertificate } from '../../../src/adapters/controller-api/certificate.ts'
import { controllerClient } from '../../../src/adapters/controller-api/controller-client.ts'
import type { DisksView } from '../../../src/api/wire/disks.ts'
import type { NodeView, SourcesView, VmView } from '../../../src/api/wire/controller-api.ts'
import { runCli, spawnCli } from './run-cli.ts'
import { noActions, noInspection } from '../no-actions.ts'

const token = 'a-token-of-enough-characters'
const ready = { type: 'Ready', status: 'True', reason: 'Ready', message: '', observedGeneration: 'g1', lastTransitionTime: '' } as const
const web: VmView = {
  name: 'web',
  phase: 'Ready',
  declared: 'present',
  generation: 'g1',
  observedGeneration: 'g1',
  labels: {},
  conditions: [ready],
  facts: { node: 'n1', ip: '192.168.50.42', mac: '52:54:00:00:00:01' },
  spec: {
    cores: 2,
    memoryBytes: 2 * 1024 ** 3,
    disks: [{ name: 'root', sizeBytes: 20 * 1024 ** 3, image: 'https://images.example/trixie/debian.qcow2?v=1' }],
    networks: [{ name: 'lan', bridge: 'br0' }],
  },
  timeline: {},
  events: [],
}
/** As a controller of release 0.1 shows it. */
const { spec: _spec, ...webWithoutSpec } = web
const db: VmView = {
  ...webWithoutSpec,
  name: 'db',
  phase: 'Pending',
  conditions: [{ ...ready, status: 'False', reason: 'NoNodeFits', message: 'a\u001B[31m' }],
  facts: {},
}
const n1: NodeView = {
  id: 'i1',
  hostname: 'n1',
  role: 'manager',
  availability: 'active',
  state: 'ready',
  labels: { 'vm-capable': 'true', 'swarmvirt.accel': 'tcg' },
  facts: null,
  factsAt: null,
  agentMessage: 'not asked yet',
  notReached: ['web'],
}
const directory = {
  source: 'directory',
  revision: '',
  superseded: [{ file: 'web-1', name: 'web', by: 'web-2' }],
  complete: true,
  message: '',
  documents: { valid: 1, invalid: 1, ignored: 2 },
  issues: ['error[VM012]: x\n --> a.yaml:1:1'],
  ignored: [{ file: 'compose.yaml', line: 1, kind: 'no kind' }],
}
const sources: SourcesView = { sources: [directory], stalled: '4 VMs vanished', withheld: [] }

const disk = { node: 'n1', uid: 'u1', vm: 'old', cluster: 'lab', disk: 'root', sizeBytes: 2 * 1024 ** 3, allocatedBytes: 1024 ** 3 }
const disks: DisksView = {
  disks: [
    { ...disk, state: 'Retained', retainedAt: '2026-01-01T00:00:00.000Z' },
    { ...disk, uid: 'u2', vm: null, state: 'Ownerless', retainedAt: null },
  ],
  unasked: [{ node: 'n2', message: 'connect \u001b[31mECONNREFUSED' }],
}

let changed = web
const listeners = new Set<(name: string) => void>()
let api: Listening
let certificate: { keyPem: string; certificatePem: string; fingerprint: string }
let folder = ''
const cli = (args: readonly string[], input = '') => runCli(args, { input, env: { DOCKER_CONFIG: folder } })
const loginArgs = (fingerprint: string, port = api.port) => [
  'login',
  '--server',
  `https://127.0.0.1:${port}`,
  '--fingerprint',
  fingerprint,
  '--token-stdin',
]

beforeAll(async () => {
  certificate = await selfSignedCertificate('swarmvirt', new Date())
  const { keyPem: key, certificatePem } = certificate
  api = await listenApi(
    { port: 0, key, certificate: certificatePem, token, release: '9.9.9' },
    {
      vms: () => [db, web],
      vm: (name) => [db, changed].find((vm) => vm.name === name),
      onChange(listener) {
        listeners.add(listener)
        return () => void listeners.delete(listener)
      },
      nodes: () => [n1],
      sources: () => sources,
      ready: () => ({ ok: true, message: '' }),
    },
    noActions,
    { ...noInspection, disks: async () => disks },
  )
})
afterAll(() => api.close())
beforeEach(async () => {
  folder = await mkdtemp(join(tmpdir(), 'login-'))
})
afterEach(() => rm(folder, { recursive: true }))

describe('login', () => {
  it('keeps server, fingerprint and token where only their owner reads them', async () => {
    const fingerprint = certificate.fingerprint.replaceAll(':', '').toLowerCase()
    const { exit, out, err } = await cli(loginArgs(`sha256:${fingerprint}`), `${token}\n`)
    expect({ exit, err }).toEqual({ exit: 0, err: '' })
    expect(out).toContain('9.9.9')
    expect(out).not.toContain(token)
    const file = join(folder, 'swarmvirt.json')
    expect((await stat(file)).mode & 0o777).toBe(0o600)
    expect(JSON.parse(await readFile(file, 'utf8'))).toEqual({
      version: 2,
      logins: { 'context:default': { server: `https://127.0.0.1:${api.port}`, fingerprint: certificate.fingerprint, token } },
    })
  })

  it('leaves others no way to read a file that was open to them', async () => {
    const file = join(folder, 'swarmvirt.json')
    await writeFile(file, '{}', { mode: 0o644 })
    expect(await cli(loginArgs(certificate.fingerprint), token)).toMatchObject({ exit: 0 })
    expect((await stat(file)).mode & 0o777).toBe(0o600)
  })

  it('keeps nothing where the token or the certificate is wrong', async () => {
    expect(await cli(loginArgs(certificate.fingerprint), 'another-token')).toMatchObject({ exit: 1, out: '' })
    const other = await cli(loginArgs('0'.repeat(64)), token)
    expect(other).toMatchObject({ exit: 1, out: '', err: expect.stringContaining('The token was not sent') as string })
    await expect(stat(join(folder, 'swarmvirt.json'))).rejects.toThrow('ENOENT')
  })

  it.each([
    ['http', ['--server', 'http://n1', '--fingerprint', '0'.repeat(64), '--token-stdin'], token],
    ['a path in the server', ['--server', 'https://n1/api', '--fingerprint', '0'.repeat(64), '--token-stdin'], token],
    ['a short fingerprint', ['--server', 'https://n1', '--fingerprint', '00', '--token-stdin'], token],
    ['no token', ['--server', 'https://n1', '--fingerprint', '0'.repeat(64), '--token-stdin'], '\n'],
    ['two lines of token', ['--server', 'https://n1', '--fingerprint', '0'.repeat(64), '--token-stdin'], 'a\nb'],
    ['a token that is not to come from standard input', ['--server', 'https://n1', '--fingerprint', '0'.repeat(64)], token],
  ])('exits with 2 for %s', async (_what, args, input) => {
    expect(await cli(['login', ...args], input)).toMatchObject({ exit: 2, out: '' })
  })
})

describe('what asks the controller', () => {
  beforeEach(() => writeLogin(certificate.fingerprint, api.port))

  function writeLogin(fingerprint: string, port: number): Promise<void> {
    return writeFile(join(folder, 'swarmvirt.json'), JSON.stringify({ server: `https://127.0.0.1:${port}`, fingerprint, token }))
  }

  it('lists VMs as a table, wide with what a terminal must not obey taken out', async () => {
    expect((await cli(['ls'])).out).toBe(
      'NAME   PHASE     READY   NODE   ADDRESS         CPUS   MEMORY   IMAGE          AGE\ndb     Pending   False   -      -               -      -        -              -\nweb    Ready     True    n1     192.168.50.42   2      2 GiB    debian.qcow2   -\n',
    )
    const wide = (await cli(['vm', 'ls', '-o', 'wide'])).out
    expect(wide).toMatch(/^db .* NoNodeFits +a \[31m$/m)
    expect(wide).not.toContain('\u001B')
  })

  it("gives the API's own objects as JSON and YAML, and names alone", async () => {
    expect(JSON.parse((await cli(['ls', '-o', 'json'])).out)).toEqual({ vms: [db, web] })
    expect(parse((await cli(['get', 'web', '-o', 'yaml'])).out)).toEqual(web)
    expect((await cli(['ls', '-q'])).out).toBe('db\nweb\n')
    expect((await cli(['nodes', '-o', 'name'])).out).toBe('n1\n')
  })

  it('exits with 1 for a VM that nobody knows, and where nobody is logged in', async () => {
    expect(await cli(['get', 'nobody'])).toMatchObject({ exit: 1, out: '', err: 'error: there is no VM "nobody"\n' })
    await rm(join(folder, 'swarmvirt.json'))
    expect(await cli(['ls'])).toMatchObject({ exit: 1, out: '', err: expect.stringContaining('docker vm login') as string })
  })

  it('exits with 2 for an output that does not exist', async () => {
    expect(await cli(['ls', '-o', 'xml'])).toMatchObject({ exit: 2, out: '' })
  })

  it('formats and filters, and needs no cluster to say what was called wrongly', async () => {
    expect((await cli(['ls', '--format', '{{.Name}}: {{.Phase}}', '--filter', 'ready=true'])).out).toBe('web: Ready\n')
    expect((await cli(['nodes', '-f', 'capable=false', '-q'])).out).toBe('')
    await rm(join(folder, 'swarmvirt.json'))
    expect(await cli(['ls', '-f', 'colour=red'])).toMatchObject({ exit: 2, err: expect.stringContaining('has no key "colour"') as string })
  })

  it.each([
    { args: ['ls', '-f', 'phase=Redy'], says: 'did you mean "Ready"?' },
    { args: ['ls', '-f', 'phse=Ready'], says: 'did you mean "phase"?' },
    { args: ['nodes', '-f', 'state=raedy'], says: 'did you mean "ready"?' },
    { args: ['disks', '-f', 'state=Retaned'], says: 'did you mean "retained"?' },
    { args: ['ls', '-o', 'jsn'], says: 'did you mean "json"?' },
    { args: ['ls', '--format', '{{.Nam}}'], says: 'did you mean ".Name"?' },
    { args: ['wait', '--for', 'condition=Reday', 'web'], says: 'did you mean "Ready"?' },
    { args: ['wait', '--for', 'condition=Ready=Ture', 'web'], says: 'did you mean "True"?' },
    { args: ['wait', '--for', 'phase=Haltd', 'web'], says: 'did you mean "Halted"?' },
    { args: ['completion', 'bsh'], says: 'did you mean "bash"?' },
    { args: ['install', '--output', 'jason'], says: 'did you mean "json"?' },
    { args: ['logs', 'web'], says: 'docker service logs vm-web' },
    { args: ['console'], says: 'docker service logs vm-NAME' },
  ])('$args means nothing: it is refused before anything is asked, with what was probably meant', async ({ args, says }) => {
    await rm(join(folder, 'swarmvirt.json'))
    expect(await cli(args)).toMatchObject({ exit: 2, out: '', err: expect.stringContaining(says) as string })
  })

  it('watches until its output is closed', async () => {
    const child = spawnCli(['ls', '-w', '-o', 'json'], { DOCKER_CONFIG: folder })
    await once(child.stdout, 'data')
    child.stdout.destroy()
    const exitAfterAChange = (): number | null => {
      changed = { ...web, phase: `${changed.phase}.` }
      for (const listener of listeners) listener('web')
      return child.exitCode
    }
    await expect.poll(exitAfterAChange, { timeout: 10_000 }).toBe(0)
    changed = web
  })

  it('reports a reload, and a rejected confirmation', async () => {
    expect(await cli(['reload'])).toEqual({ exit: 0, out: '', err: '' })
    expect(await cli(['confirm-removal'])).toMatchObject({ exit: 0, out: 'no removal is blocked\n' })
  })

  it('shows nodes that no agent spoke for, and sources with their errors', async () => {
    expect((await cli(['nodes'])).out).toMatch(/^n1 +manager +active +ready +true +tcg +- +- +-$/m)
    const { out } = await cli(['sources'])
    expect(out).toMatch(/^directory +yes +1 +1 +2 +- +-$/m)
    expect(out).toContain('\nerror[VM012]: x\n --> a.yaml:1:1\n')
    expect(out).toContain('\nwarning: 2 documents of other kinds ignored in source directory:\n  compose.yaml:1 (no kind)\n  and 1 more\n')
    expect(out).toContain('\nsuperseded: web-1 (web) by web-2\n')
    expect(out).toContain('\nremovals are blocked: 4 VMs vanished\n')
  })
})

describe('a server with another certificate', () => {
  let server: Server
  let heard: Buffer[]
  let answer: (socket: TLSSocket) => void
  const sockets = new Set<TLSSocket>()
  const port = () => (server.address() as AddressInfo).port
  const client = (fingerprint: string, timeoutMs = 5_000) =>
    controllerClient({ server: `https://127.0.0.1:${port()}`, fingerprint, token, timeoutMs })

  beforeEach(async () => {
    heard = []
    answer = () => undefined
    server = createServer({ key: certificate.keyPem, cert: certificate.certificatePem }, (socket) => {
      socket.on('data', (chunk: Buffer) => heard.push(chunk))
      socket.on('error', () => undefined)
      sockets.add(socket)
      answer(socket)
    })
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve))
  })
  afterEach(() => {
    for (const socket of sockets) socket.destroy()
    return new Promise((resolve) => server.close(resolve))
  })

  it('is rejected before it receives anything', async () => {
    await expect(client('00:'.repeat(31) + '00').vms()).rejects.toMatchObject({ kind: 'Denied' })
    expect(heard).toEqual([])
  })

  it('receives the token if its certificate is the pinned one, and is given up at a timeout', async () => {
    await expect(client(certificate.fingerprint, 500).vms()).rejects.toMatchObject({
      kind: 'Unavailable',
      message: expect.stringContaining('in time') as string,
    })
    expect(Buffer.concat(heard).toString()).toContain(`authorization: Bearer ${token}`)
  })

  it('is Unavailable if it closes the connection or sends an invalid answer', async () => {
    answer = (socket) => socket.end('HTTP/1.1 200 OK\r\ncontent-length: 7\r\n\r\n{"a":1}')
    await expect(client(certificate.fingerprint).vms()).rejects.toMatchObject({
      kind: 'Unavailable',
      message: expect.stringContaining('does not support') as string,
    })
    answer = (socket) => socket.destroy()
    await expect(client(certificate.fingerprint).vms()).rejects.toMatchObject({ kind: 'Unavailable' })
  })
})

describe('disks', () => {
  beforeEach(async () => {
    expect(await cli(loginArgs(certificate.fingerprint), token)).toMatchObject({ exit: 0 })
  })

  it('are listed with their users, and the list is incomplete if a node is not responding', async () => {
    const { exit, out, err } = await cli(['disks'])
    expect(out.split('\n').map((line) => line.trim().split(/ {2,}/))).toEqual([
      ['NODE', 'VM', 'DISK', 'SIZE', 'USED', 'STATE', 'REMOVED', 'UID'],
      ['n1', 'old', 'root', '2 GiB', '1 GiB', 'Retained', '2026-01-01T00:00:00.000Z', 'u1'],
      ['n1', '-', 'root', '2 GiB', '1 GiB', 'Ownerless', '-', 'u2'],
      [''],
    ])
    expect([exit, err]).toEqual([1, expect.stringMatching(/^error: cannot reach n2: connect .*ECONNREFUSED\n$/)])
    // oxlint-disable-next-line no-control-regex
    expect(err).not.toMatch(/\u001b/)
  })

  it('can be filtered, and named by the path that they have', async () => {
    expect((await cli(['disks', '--filter', 'state=ownerless', '-q'])).out).toBe('n1:instances/u2/disks/root.qcow2\n')
    expect(await cli(['disks', '--filter', 'state=lost'])).toMatchObject({ exit: 2 })
    expect(JSON.parse((await cli(['disks', '-o', 'json'])).out)).toMatchObject({
      disks: [{ uid: 'u1' }, { uid: 'u2' }],
      unasked: [{ node: 'n2' }],
    })
  })
})
