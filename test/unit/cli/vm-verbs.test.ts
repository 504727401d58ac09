import { describe, expect, it } from 'vitest'
import { type Condition, readyChecks } from '../../../src/api/conditions.ts'
import type { VmView } from '../../../src/api/wire/controller-api.ts'
import { age } from '../../../src/cli/output/age.ts'
import { describeVm } from '../../../src/cli/inspect/describe.ts'
import { followEvents, listEvents } from '../../../src/cli/inspect/events.ts'
import { waitFor, wantedOf } from '../../../src/cli/inspect/wait.ts'
import { why } from '../../../src/cli/inspect/why.ts'
import type { VmChange } from '../../../src/ports/controller-api.ts'

const at = '2026-01-01T00:00:00.000Z'
const nowMs = Date.parse(at) + 90_000

function condition(
  type: Condition['type'],
  status: Condition['status'],
  reason: string,
  message = '',
  observedGeneration = 'g1',
): Condition {
  return { type, status, reason, message, observedGeneration, lastTransitionTime: at }
}

function aVm(changes: Partial<VmView> = {}): VmView {
  return {
    name: 'web',
    phase: 'Pending',
    declared: 'present',
    generation: 'g1',
    observedGeneration: 'g1',
    labels: { app: 'web' },
    conditions: [],
    facts: { node: 'n2', ip: '192.168.50.42' },
    timeline: {},
    events: [],
    ...changes,
  }
}

async function* changes(...all: readonly VmChange[]): AsyncGenerator<VmChange> {
  yield* all
  throw new Error('the controller ended it')
}
const vm = (changes: Partial<VmView>): VmChange => ({ kind: 'vm', vm: aVm(changes) })
const synced: VmChange = { kind: 'synced' }

describe('why', () => {
  it('names the first failing check, and not the checks after it', () => {
    const conditions = [
      condition('Ready', 'False', 'NoNodeFits'),
      condition('Reachable', 'Unknown', 'WaitingForPlaced'),
      condition('Valid', 'True', 'Accepted'),
      condition('Placed', 'False', 'NoNodeFits', 'no node fits: n1: too small'),
    ]
    expect(why(aVm({ conditions }))).toEqual({
      ready: false,
      sentence: 'web is not Ready: Placed is False (NoNodeFits): no node fits: n1: too small.',
      next: 'docker vm nodes -o wide',
    })
  })

  it.each<[string, Partial<VmView>, RegExp]>([
    [
      'a manifest that is wrong',
      { conditions: [condition('Valid', 'False', 'ManifestInvalid', 'error[VM012]: x\nmore')] },
      /last valid state.*error\[VM012\]: x\.$/,
    ],
    ['a VM that is off', { phase: 'Halted' }, /is off, as its manifest says/],
    [
      'what a person must change',
      { conditions: [condition('Stalled', 'True', 'OwnershipLost', 'm')] },
      /a change by an operator.*OwnershipLost/,
    ],
    ['a removal', { declared: 'removed', conditions: [condition('ServiceReady', 'False', 'Removing', 'm')] }, /being removed.*Removing/],
    ['a VM that was never reconciled', {}, /has not reconciled it yet/],
    [
      'an edit that waits',
      { conditions: [condition('Ready', 'True', 'Ready'), condition('RestartRequired', 'True', 'SpecChanged', 'memory')] },
      /is Ready, but an edit waits.*memory/,
    ],
  ])('says it of %s', (_what, what, sentence) => {
    expect(why(aVm(what)).sentence).toMatch(sentence)
  })

  it('takes no reason for a step that an object inherits', () => {
    expect(why(aVm({ conditions: [condition('Placed', 'False', 'constructor', 'm')] })).next).toBe('docker vm describe web')
  })

  it.each<[string, Condition, string]>([
    [
      'the command that the message names',
      condition('Owned', 'False', 'OwnershipLost', 'not touched; to restore the label: docker x y'),
      'docker x y',
    ],
    ['to wait, where waiting is all', condition('Placed', 'True', 'Placed'), 'docker vm wait --timeout 5m web'],
    ['to wait for its end', condition('ServiceReady', 'False', 'Removing', 'm'), 'docker vm wait --for delete --timeout 5m web'],
  ])('names %s', (_what, one, next) => {
    const others = [condition('ServiceReady', 'False', 'TaskStarting', 'the task is preparing')]
    const declared = one.reason === 'Removing' ? 'removed' : 'present'
    expect(why(aVm({ declared, conditions: [one, ...(one.type === 'ServiceReady' ? [] : others)] })).next).toBe(next)
  })

  it('has something to type for whatever blocks', () => {
    for (const type of readyChecks) {
      for (const status of ['False', 'Unknown'] as const) {
        expect([type, why(aVm({ conditions: [condition(type, status, 'NeverHeardOf', 'm')] })).next]).toEqual([
          type,
          expect.stringMatching(/^docker /),
        ])
      }
    }
  })
})

describe('describe', () => {
  it('shows the seconds of each step, and between steps', () => {
    const timeline = { manifest: 0, placed: 200, assets: 450, service: 500, task: 1_500, guest: 3_000, address: 4_000, ready: 5_800 }
    const shown = describeVm(aVm({ timeline }), nowMs)
    expect(shown).toMatch(/manifest seen +0\.0 s/)
    expect(shown).toMatch(/image, disks and seed ready +0\.5 s +\+0\.3 s/)
    expect(shown).toMatch(/service created +0\.5 s +\+0\.1 s\n +task runs +1\.5 s +\+1\.0 s\n +guest runs +3\.0 s/)
    expect(shown).toMatch(/ready +5\.8 s +\+1\.8 s/)
  })

  it('lists every NIC with its MAC, bridge and address, and when the guest used it', () => {
    const seenAt = new Date(nowMs - 65_000).toISOString()
    const nics = [
      { name: 'lan', bridge: 'br0', mac: '52:54:00:00:00:01', address: '192.168.50.42', seenAt },
      { name: 'dmz', bridge: 'br1', mac: '52:54:00:00:00:02' },
    ]
    const shown = describeVm(aVm({ nics }), nowMs)
    expect(shown).toMatch(/Networks:\n +lan +br0 +52:54:00:00:00:01 +192\.168\.50\.42 +seen 65s ago\n +dmz +br1 +52:54:00:00:00:02 +- +-\n/)
  })

  it('prints no control characters of a guest or a manifest', () => {
    const conditions = [condition('Placed', 'False', 'NoNodeFits', 'a\u001b[31m')]
    expect(describeVm(aVm({ conditions, labels: { a: 'b' } }), nowMs)).not.toContain('\u001b')
  })

  it.each([
    [0, '0s'],
    [119, '119s'],
    [125, '2m5s'],
    [3_600, '60m'],
    [7_300, '2h'],
    [200_000, '2d'],
  ])('shows an age of %i s as %s', (seconds, text) => {
    expect(age(at, Date.parse(at) + seconds * 1000)).toBe(text)
  })
})

describe('wait', () => {
  const forever = new AbortController().signal
  const isReady = (generation: string) => ({ generation, conditions: [condition('Ready', 'True', 'Ready', '', 'g1')] })

  it('ends when the condition is met for the current manifest, and not for an older one', async () => {
    const wait = (name: string, generation: string) =>
      waitFor({
        changes: changes(vm({ name }), synced, vm({ name, ...isReady(generation) })),
        names: [name],
        wanted: wantedOf('condition=ready'),
        deadline: forever,
      })
    expect(await wait('web', 'g1')).toEqual({ exit: 0, out: 'web is Ready\n', err: '' })
    await expect(wait('web', 'g2')).rejects.toThrow('the controller ended it')
  })

  it('waits for all, and says of those that did not come why', async () => {
    const late = new AbortController()
    async function* slow(): AsyncGenerator<VmChange> {
      yield* [vm({ name: 'db', ...isReady('g1') }), vm({ conditions: [condition('Placed', 'False', 'NodeDown', 'n1 is down')] }), synced]
      late.abort(new Error('time'))
      throw new Error('cut')
    }
    const outcome = await waitFor({ changes: slow(), names: ['web', 'db'], wanted: wantedOf('condition=Ready'), deadline: late.signal })
    expect(outcome.exit).toBe(1)
    expect(outcome.err).toBe('error: timed out\nerror: web is not Ready: Placed is False (NodeDown): n1 is down.\n')
  })

  it('takes a VM that is gone for deleted, and an unknown one for a mistake otherwise', async () => {
    const of = (wanted: string) => waitFor({ changes: changes(synced), names: ['web'], wanted: wantedOf(wanted), deadline: forever })
    expect(await of('delete')).toMatchObject({ exit: 0, out: 'web is gone\n' })
    expect(await of('phase=Halted')).toMatchObject({ exit: 1, err: 'error: there is no VM "web"\n' })
  })

  it.each(['condition', 'condition=', 'phase=', 'phase=a=b', 'ready', ''])('takes no %j for something to wait for', (text) => {
    expect(() => wantedOf(text)).toThrow('--for must be')
  })
})

describe('events', () => {
  const event = (time: string, reason: string) => ({ time, type: 'Ready', status: 'True', reason, message: 'line\nmore' })
  const [one, two] = [event('2026-01-01T00:00:01.000Z', 'One'), event('2026-01-01T00:00:02.000Z', 'Two')]

  it('are listed with the oldest first, whichever VM they are of', () => {
    const lines = listEvents([aVm({ name: 'b', events: [two] }), aVm({ name: 'a', events: [one] })]).split('\n')
    expect(lines.slice(1, 3).map((line) => line.split(/ {3,}/)[1])).toEqual(['a', 'b'])
  })

  it('are printed once each as they occur, however often the VM changes', async () => {
    let out = ''
    const output = { write: (text: string) => void (out += text), closed: AbortSignal.abort() }
    await followEvents(
      changes(vm({ events: [one] }), synced, vm({ events: [one] }), vm({ events: [one, two] }), vm({ events: [two] })),
      'web',
      output,
    )
    expect([out.match(/One/g)?.length, out.match(/Two/g)?.length]).toEqual([1, 1])
  })
})
