import { describe, expect, it, test } from 'vitest'
import type { Grant } from '../../../src/api/wire/common.ts'
import { parseBrokerCommand, UsageError } from '../../../src/broker/config.ts'
import { judgeGrant } from '../../../src/broker/grants.ts'
import { hostSideMac } from '../../../src/broker/nics.ts'
import { aMac, aUid, aVmName } from '../../support/branded.ts'

const limits = { bridges: ['br0'], devices: [], macPrefix: '52:54:00' }
const nic = { name: 'lan', bridge: 'br0', mac: aMac('52:54:00:00:00:01'), mtu: null }
const aGrant = (id: number, nics: Grant['nics'] = [nic]): Grant => ({
  version: 1,
  uid: aUid(`00000000-0000-4000-8000-00000000000${id}`),
  vm: aVmName(`vm${id}`),
  accelerator: 'tcg',
  nics,
})

describe('the command line of the broker', () => {
  it("allows br0 and QEMU's MACs unless it says otherwise", () => {
    expect(parseBrokerCommand([], {})).toEqual({ kind: 'serve', stateRoot: '/var/lib/swarmvirt', limits, protect: [], fixForward: false })
    expect(
      parseBrokerCommand(
        [
          '--state-root',
          '/srv/vm',
          '--allow-bridge',
          'br1',
          '--allow-bridge',
          'br2',
          '--mac-prefix',
          '02:AB',
          '--protect',
          '10.0.0.0/24',
          '--protect',
          'fe80::1',
        ],
        {},
      ),
    ).toEqual({
      kind: 'serve',
      stateRoot: '/srv/vm',
      limits: { bridges: ['br1', 'br2'], devices: [], macPrefix: '02:ab' },
      protect: ['10.0.0.0/24', 'fe80::1'],
      fixForward: false,
    })
  })

  it('takes the state root of a broker beside it from the environment', () => {
    expect(parseBrokerCommand(['power-off-all'], { SWARMVIRT_STATE_ROOT: '/srv/vm' })).toEqual({
      kind: 'powerOffAll',
      stateRoot: '/srv/vm',
      timeoutMs: 120_000,
    })
    expect(parseBrokerCommand(['power-off-all', '--timeout', '0', '--state-root', '/x'], {})).toMatchObject({
      stateRoot: '/x',
      timeoutMs: 0,
    })
    expect(parseBrokerCommand(['power-on-all', '--state-root', '/x'], {})).toEqual({ kind: 'powerOnAll', stateRoot: '/x' })
  })

  it.each([
    [['--bogus']],
    [['launch']],
    [['--state-root', 'relative']],
    [['--state-root', '/a/../b']],
    [['--state-root', `/${'x'.repeat(60)}`]],
    [['--allow-bridge', '../br0']],
    [['--mac-prefix', '53:54:00']],
    [['--mac-prefix', '52:54:0']],
    [['--protect', '10.0.0.0/33']],
    [['--protect', 'n2']],
    [['--protect', '10.0.0.1 drop']],
    [['--protect', '::/129']],
    [['--timeout', '5']],
    [['power-on-all', '--timeout', '5']],
    [['power-on-all', 'now']],
    [['power-off-all', '--timeout', '-1']],
    [['power-off-all', '--timeout', '1e9']],
  ])('refuses %j', (argv) => {
    expect(() => parseBrokerCommand(argv, {})).toThrow(UsageError)
  })
})

test('direct NICs need both options, and one alone is an error', () => {
  const allowed = parseBrokerCommand(['--enable-direct', '--allow-device', 'eth1', '--allow-device', 'eth1'], {})
  expect(allowed).toMatchObject({ limits: { devices: ['eth1'] } })
  expect(() => parseBrokerCommand(['--enable-direct'], {})).toThrow(/--allow-device/)
  expect(() => parseBrokerCommand(['--allow-device', 'eth1'], {})).toThrow(/--enable-direct/)
  expect(() => parseBrokerCommand(['--enable-direct', '--allow-device', '../eth1'], {})).toThrow(UsageError)
})

describe('a grant', () => {
  it('of a direct NIC passes only for an allowed device', () => {
    const { bridge: _bridge, ...rest } = nic
    const direct = aGrant(1, [{ ...rest, direct: { device: 'eth1', mode: 'vepa' } }])
    expect(judgeGrant(direct, { ...limits, devices: ['eth1'] }, new Map())).toEqual({ ok: true })
    const refused = {
      ok: false,
      reason: 'DeviceNotAllowed',
      message: expect.stringContaining('--enable-direct --allow-device eth1') as string,
    }
    expect(judgeGrant(direct, limits, new Map())).toEqual(refused)
    expect(judgeGrant(direct, { ...limits, bridges: ['eth1'], devices: ['eth2'] }, new Map())).toMatchObject({ reason: 'DeviceNotAllowed' })
  })

  it('passes within the limits, again and with another NIC', () => {
    expect(judgeGrant(aGrant(1), limits, new Map())).toEqual({ ok: true })
    const known = new Map([[aGrant(1).uid, aGrant(1)]])
    expect(judgeGrant(aGrant(1), limits, known)).toEqual({ ok: true })
    expect(judgeGrant(aGrant(2, [{ ...nic, mac: aMac('52:54:00:00:00:02') }]), limits, known)).toEqual({ ok: true })
  })

  it.each([
    ['BridgeNotAllowed', [{ ...nic, bridge: 'docker0' }]],
    ['MacNotAllowed', [{ ...nic, mac: aMac('52:54:01:00:00:01') }]],
    ['MacTaken', [nic]],
    [
      'MacTaken',
      [
        { ...nic, mac: aMac('52:54:00:00:00:09') },
        { ...nic, name: 'two', mac: aMac('52:54:00:00:00:09') },
      ],
    ],
    [
      'NameTaken',
      [
        { ...nic, mac: aMac('52:54:00:00:00:08') },
        { ...nic, mac: aMac('52:54:00:00:00:09') },
      ],
    ],
  ] as const)('is refused as %s', (reason, nics) => {
    expect(judgeGrant(aGrant(2, [...nics]), limits, new Map([[aGrant(1).uid, aGrant(1)]]))).toMatchObject({ ok: false, reason })
  })

  it("gives the host's side of a TAP a MAC that is not the guest's", () => {
    expect(hostSideMac(aMac('52:54:00:00:00:01'))).toBe('fe:54:00:00:00:01')
  })
})
