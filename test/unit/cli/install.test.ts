import { beforeEach, describe, expect, it } from 'vitest'
import { type InstallOptions, runInstall } from '../../../src/cli/install.ts'
import type { DockerCli } from '../../../src/ports/docker-cli.ts'

const material = {
  controlKey: 'k',
  apiKeyPem: 'p',
  apiCertificatePem: 'c',
  fingerprint: 'AA:BB',
  apiToken: 'the-token',
  metricsToken: 'metrics-token',
}
const options: InstallOptions = { network: 'swarmvirt-guests', userNetwork: 'swarmvirt-user', subnet: '10.201.0.0/20', output: 'text' }

/** A Swarm's secrets and overlays, as far as `install` asks the docker CLI for them. */
class FakeDocker implements DockerCli {
  readonly secrets = new Map<string, string>()
  readonly networks = new Map<string, { readonly internal: boolean; readonly configFrom?: string }>()

  async run(args: readonly string[], input = ''): Promise<string> {
    const [noun, verb] = args
    const name = args.at(-1) ?? ''
    switch (`${noun} ${verb}`) {
      case 'secret ls':
        return [...this.secrets.keys()].join('\n')
      case 'secret create':
        this.secrets.set(args.at(-2) ?? '', input)
        return ''
      case 'network ls':
        return [...this.networks.keys()].join('\n')
      case 'network create':
        this.networks.set(name, { internal: args.includes('--internal'), configFrom: args[args.indexOf('--config-from') + 1] ?? '' })
        return ''
      case 'network inspect':
        return `${args.includes('{{.Internal}}') ? this.networks.get(name)?.internal : this.networks.get(name)?.configFrom}\n`
      default:
        throw new Error(`nobody calls docker ${args.join(' ')}`)
    }
  }
}

let docker: FakeDocker
const install = (more: Partial<InstallOptions> = {}) => runInstall({ docker, material: async () => material }, { ...options, ...more })

beforeEach(() => {
  docker = new FakeDocker()
})

describe('docker vm install', () => {
  it('makes an internal overlay for the guests, and nothing a second time', async () => {
    expect(await install()).toMatchObject({ exit: 0, err: '' })
    expect(docker.networks.get('swarmvirt-guests')).toMatchObject({ internal: true })
    expect(docker.secrets.size).toBe(4)
    expect((await install()).out).toBe('everything exists already; nothing was changed\n')
  })

  it('warns of an overlay of release 0.1, which is not internal, and says how to move', async () => {
    docker.networks.set('swarmvirt-guests', { internal: false })
    const { exit, err } = await install()
    expect([exit, docker.networks.get('swarmvirt-guests')]).toEqual([0, { internal: false }])
    expect(err).toMatch(/^warning: network swarmvirt-guests is not internal/)
    expect(err).toContain('docker vm install --network swarmvirt-vms')
    expect(await install({ network: 'swarmvirt-vms' })).toMatchObject({ err: '' })
    expect(docker.networks.get('swarmvirt-vms')).toMatchObject({ internal: true })
    expect(JSON.parse((await install({ output: 'json' })).out)).toMatchObject({ warnings: [expect.stringContaining('not internal')] })
  })

  it('creates a token for the metrics on request, also later, and shows it once', async () => {
    expect((await install()).out).not.toContain('metrics-token')
    expect((await install({ metricsToken: true })).out).toContain('Metrics token (shown once, keep it): metrics-token')
    expect([docker.secrets.get('swarmvirt-metrics-token'), docker.secrets.size]).toEqual(['metrics-token', 5])
    expect((await install({ metricsToken: true })).out).not.toContain('shown once')
  })

  it('refuses a part of the secrets without the rest', async () => {
    docker.secrets.set('swarmvirt-api-token', 'x')
    await expect(install()).rejects.toThrow('only some')
  })
})
