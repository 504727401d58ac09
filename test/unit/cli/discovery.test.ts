import { describe, expect, it } from 'vitest'
import { connected, type ConnectionPorts } from '../../../src/cli/login/connection.ts'
import { discover } from '../../../src/cli/login/discovery.ts'
import type { Login } from '../../../src/cli/login/login.ts'
import type { ControllerApi } from '../../../src/ports/controller-api.ts'
import type { DockerCli } from '../../../src/ports/docker-cli.ts'
import { PortError } from '../../../src/ports/errors.ts'

interface Cluster {
  readonly services?: readonly string[]
  readonly published?: number
  readonly nodes?: Readonly<Record<string, { readonly addr: string; readonly manager?: string }>>
  readonly runsOn?: readonly string[]
  readonly endpoint?: string
  readonly secretLabels?: Readonly<Record<string, string>>
}

/** A Swarm with a controller, as far as `docker` tells of it. */
function swarmOf(cluster: Cluster): DockerCli {
  const nodes = cluster.nodes ?? { node1: { addr: '10.0.0.1', manager: '10.0.0.1:2377' } }
  const service = {
    ID: 'svc1',
    Spec: {
      TaskTemplate: {
        ContainerSpec: {
          Secrets: [
            { SecretID: 'key', File: { Name: 'swarmvirt-api-key' } },
            { SecretID: 'cert2', File: { Name: 'swarmvirt-api-cert' } },
          ],
        },
      },
    },
    Endpoint: {
      Ports: [
        { TargetPort: 9470, PublishedPort: 9470 },
        { TargetPort: 9471, PublishedPort: cluster.published ?? 9471 },
      ],
    },
  }
  const answers: Readonly<Record<string, (args: readonly string[]) => string>> = {
    'service ls': (args) => (args.includes('label=swarmvirt.component=controller') ? (cluster.services ?? ['svc1']).join('\n') : ''),
    'service inspect': () => JSON.stringify([service]),
    'service ps': () => (cluster.runsOn ?? Object.keys(nodes)).join('\n'),
    'node inspect': (args) =>
      JSON.stringify(
        args.slice(2).map((id) => ({
          Description: { Hostname: id },
          Status: { Addr: nodes[id]?.addr },
          ...(nodes[id]?.manager === undefined ? {} : { ManagerStatus: { Addr: nodes[id].manager } }),
        })),
      ),
    'context inspect': () => `${cluster.endpoint ?? 'unix:///var/run/docker.sock'}\n`,
    'secret inspect': (args) =>
      JSON.stringify(args.at(-1) === 'cert2' ? (cluster.secretLabels ?? { 'swarmvirt.fingerprint': 'AA:BB' }) : {}),
  }
  return {
    async run(args) {
      const answer = answers[args.slice(0, 2).join(' ')]
      if (answer === undefined) throw new Error(`no such verb: docker ${args.join(' ')}`)
      return answer(args)
    },
  }
}

describe('where the controller is', () => {
  it("is on its task's node, with the certificate that its service was given", async () => {
    expect(await discover(swarmOf({ nodes: { n: { addr: '10.0.0.7' } }, published: 19_471, endpoint: 'tcp://10.0.0.7:2376' }))).toEqual({
      servers: ['https://10.0.0.7:19471'],
      fingerprint: 'AA:BB',
    })
  })

  it.each(['0.0.0.0', '127.0.0.1', ''])('is where managers reach each other when the node calls itself "%s"', async (addr) => {
    const { servers } = await discover(swarmOf({ nodes: { n: { addr, manager: '[fd00::1]:2377' } } }))
    expect(servers).toEqual(['https://[fd00::1]:9471', 'https://127.0.0.1:9471'])
  })

  it('may be the host that Docker is reached at, over ssh too', async () => {
    const { servers } = await discover(swarmOf({ endpoint: 'ssh://ops@manager.example:22' }))
    expect(servers).toEqual(['https://10.0.0.1:9471', 'https://manager.example:9471'])
  })

  it('is nowhere without a service, without a task, and with two services', async () => {
    await expect(discover(swarmOf({ services: [] }))).rejects.toThrow('check the Docker context')
    await expect(discover(swarmOf({ runsOn: [] }))).rejects.toThrow('has no running task')
    await expect(discover(swarmOf({ services: ['a', 'b'] }))).rejects.toThrow('choose one')
  })

  it('has no fingerprint where the secret carries none', async () => {
    expect((await discover(swarmOf({ secretLabels: {} }))).fingerprint).toBeUndefined()
  })
})

const login: Login = { server: 'https://10.0.0.1:9471', fingerprint: 'AA:BB', token: 't' }

/** Controllers by address; what is not there does not answer. */
function network(certificates: Readonly<Record<string, string>>, found: readonly string[]) {
  let kept: string | undefined
  const seen: string[] = []
  const open = (one: Login): ControllerApi =>
    ({
      version() {
        seen.push(one.server)
        const certificate = certificates[one.server]
        if (certificate === undefined) return Promise.reject(new PortError('Unavailable', `${one.server} did not answer in time`))
        if (certificate !== one.fingerprint) return Promise.reject(new PortError('Denied', `${one.server} shows another certificate`))
        return Promise.resolve({ version: 1, release: '9.9.9' })
      },
    }) as ControllerApi
  const ports: ConnectionPorts = {
    storedLogin: () => Promise.resolve(login),
    open,
    discover: () => Promise.resolve({ servers: found, fingerprint: 'EVIL' }),
    moved: (server) => {
      kept = server
      return Promise.resolve()
    },
  }
  return { ports, seen, kept: () => kept }
}

describe('a login that is kept', () => {
  it('is used unchanged while its server answers', async () => {
    const { ports, seen, kept } = network({ 'https://10.0.0.1:9471': 'AA:BB' }, ['https://10.0.0.2:9471'])
    await connected(ports)
    expect(seen).toEqual(['https://10.0.0.1:9471'])
    expect(kept()).toBeUndefined()
  })

  it('finds a controller that moved, and keeps its address', async () => {
    const { ports, kept } = network({ 'https://10.0.0.3:9471': 'AA:BB' }, ['https://10.0.0.2:9471', 'https://10.0.0.3:9471'])
    await (await connected(ports)).version()
    expect(kept()).toBe('https://10.0.0.3:9471')
  })

  it('trusts no other certificate than the pinned one, whatever the Swarm says', async () => {
    const { ports, kept } = network({ 'https://10.0.0.2:9471': 'EVIL' }, ['https://10.0.0.2:9471'])
    await expect(connected(ports)).rejects.toThrow('shows another certificate')
    expect(kept()).toBeUndefined()
  })

  it('is not given up for a server that refuses', async () => {
    const { ports, seen } = network({ 'https://10.0.0.1:9471': 'OTHER', 'https://10.0.0.2:9471': 'AA:BB' }, ['https://10.0.0.2:9471'])
    await expect(connected(ports)).rejects.toThrow('shows another certificate')
    expect(seen).toEqual(['https://10.0.0.1:9471'])
  })

  it('says both where nothing answers and Docker does not either', async () => {
    const { ports } = network({}, [])
    const silent = { ...ports, discover: () => Promise.reject(new PortError('Unavailable', 'no docker')) }
    await expect(connected(silent)).rejects.toThrow(/did not answer in time; .*no docker/)
  })
})
