import { describe, expect, it } from 'vitest'
import { readConfig } from '../../../src/controller/config.ts'

const least = { SWARMVIRT_CLUSTER: 'lab', SWARMVIRT_RUNNER_IMAGE: 'swarmvirt-node:1' }

describe('the configuration', () => {
  it('comes from the environment, and the command line wins', () => {
    const config = readConfig(['--removal-grace-s', '7', '--cluster', 'other'], {
      ...least,
      SWARMVIRT_REMOVAL_GRACE_S: '5',
      SWARMVIRT_RESYNC_S: '3',
    })
    expect(config).toMatchObject({ removalGraceMs: 7_000, resyncMs: 3_000, apiPort: 9471, metricsPort: 9470 })
    expect(config.settings).toMatchObject({
      cluster: 'other',
      runnerImage: 'swarmvirt-node:1',
      memoryOverheadMiB: 16,
      softwareEmulation: false,
    })
  })

  it.each([
    [[], ['directory', 'configs']],
    [['--sources', 'configs'], ['configs']],
    [
      ['--sources', 'configs,directory'],
      ['directory', 'configs'],
    ],
  ])('names the sources: %j gives %j', (argv, sources) => {
    expect(readConfig(argv, least).sources).toEqual(sources)
  })

  const table: readonly [string, readonly string[], Record<string, string>, RegExp][] = [
    ['a cluster without a name', [], { SWARMVIRT_RUNNER_IMAGE: 'x' }, /--cluster \(SWARMVIRT_CLUSTER\) is missing/],
    ['a cluster with a name that is none', ['--cluster', 'Lab!'], least, /a-z 0-9/],
    ['a flag that is neither true nor false', ['--software-emulation', 'yes'], least, /true, false/],
    ['a source that is none', ['--sources', 'directory,etcd'], least, /--sources has "etcd"/],
    ['a number that is none', ['--resync-s', '1.5'], least, /integer from 1 to 3600/],
    ['an option that does not exist', ['--resink', '1'], least, /resink/],
    ['a state root whose sockets could not be bound', ['--state-root', `/${'x'.repeat(80)}`], least, /sockets below it/],
    ['a state root that is not absolute', ['--state-root', 'state'], least, /absolute/],
  ]
  it.each(table)('refuses %s', (_what, argv, env, message) => {
    expect(() => readConfig(argv, env)).toThrow(message)
  })
})
