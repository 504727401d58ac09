import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { type Condition, readyChecks } from '../../../src/api/conditions.ts'
import { asListed, type VmEvent, type VmView } from '../../../src/api/wire/controller-api.ts'
import { foldReady } from '../../../src/controller/status/ready.ts'
import { type ReportedConditions, newEvents, withEvent } from '../../../src/controller/status/vm-events.ts'

const startMs = Date.parse('2026-01-01T00:00:00Z')
const hour = 3_600_000
const drift = { type: 'Drift', status: '', reason: 'PutBack' }

function listOf(count: number, everyMs: number): readonly VmEvent[] {
  const times = Array.from({ length: count }, (_, index) => index)
  return times.reduce<readonly VmEvent[]>(
    (held, index) => withEvent(held, { ...drift, message: `${index}` }, startMs + index * everyMs),
    [],
  )
}

describe('events that are kept', () => {
  it('are two hundred at least, however old, and those of a day as far as there is room', () => {
    expect(listOf(250, hour)).toHaveLength(200)
    expect(listOf(250, 60_000)).toHaveLength(250)
    expect(listOf(1_000, 60_000)).toHaveLength(300)
    expect(listOf(1_000, 60_000).at(-1)?.message).toBe('999')
  })

  it('are in order and bounded, whatever happens', () => {
    const step = fc.record({
      afterMs: fc.nat(hour * 2),
      message: fc.string({ maxLength: 900 }),
      status: fc.constantFrom('', 'True', 'False'),
    })
    fc.assert(
      fc.property(fc.array(step, { maxLength: 400 }), (steps) => {
        let [nowMs, held]: [number, readonly VmEvent[]] = [startMs, []]
        for (const { afterMs, message, status } of steps) {
          nowMs += afterMs
          held = withEvent(held, { type: 'Ready', status, reason: 'R', message }, nowMs)
        }
        expect(held.length).toBeLessThanOrEqual(300)
        expect(held.map((one) => one.time)).toEqual(held.map((one) => one.time).toSorted())
        expect(Math.max(0, ...held.map((one) => one.message.length))).toBeLessThanOrEqual(400)
      }),
    )
  })

  it('are counted when they repeat within the hour, and are another event later', () => {
    const lost = { type: 'Reachable', status: 'False', reason: 'NoArpReply', message: 'n2 got no answer' }
    const once = withEvent([], lost, startMs)
    const thrice = [1, 2].reduce((held, minutes) => withEvent(held, lost, startMs + minutes * 60_000), once)
    expect(thrice).toEqual([{ ...lost, time: '2026-01-01T00:02:00.000Z', count: 3, firstTime: '2026-01-01T00:00:00.000Z' }])
    expect(withEvent(thrice, lost, startMs + 2 * hour)).toHaveLength(2)
    expect(withEvent(withEvent([], { ...drift, message: 'a' }, startMs), { ...drift, message: 'b' }, startMs)).toHaveLength(2)
  })

  it('are in a list the last fifty', () => {
    const events = listOf(60, 1_000)
    expect(asListed({ events } as unknown as VmView).events).toEqual(events.slice(10))
  })
})

function conditions(changes: Readonly<Record<string, readonly [Condition['status'], string]>>): readonly Condition[] {
  const checks = readyChecks.map((type) => [type, ...(changes[type] ?? (['True', 'Fine'] as const))] as const)
  const others = Object.entries(changes).filter(([type]) => !(readyChecks as readonly string[]).includes(type))
  const all = [...checks, ...others.map(([type, said]) => [type, ...said] as const)]
  const held = all.map(([type, status, reason]) => ({ type, status, reason, message: '', observedGeneration: '', lastTransitionTime: '' }))
  const ready = foldReady(held as readonly Condition[])
  return [...held, { ...ready, observedGeneration: '', lastTransitionTime: '' }] as readonly Condition[]
}

/** The events of these conditions, one after the other. */
function told(...steps: readonly (readonly Condition[])[]): string[] {
  let known: ReportedConditions = new Map()
  return steps.flatMap((step) => {
    const found = newEvents(known, step)
    known = found.reported
    return found.events.map((one) => `${one.type} ${one.status} ${one.reason}`)
  })
}

describe('what happened to a VM', () => {
  it('records one event per check as they pass, and none for the checks that wait', () => {
    const waits = { AddressLearned: ['Unknown', 'WaitingForLinkAttached'], Reachable: ['Unknown', 'WaitingForLinkAttached'] } as const
    expect(
      told(
        conditions({ GuestRunning: ['False', 'Booting'], LinkAttached: ['Unknown', 'WaitingForGuestRunning'], ...waits }),
        conditions({ LinkAttached: ['False', 'NoLease'], ...waits }),
        conditions({ LinkAttached: ['False', 'NoLease'], ...waits }),
        conditions({}),
      ),
    ).toEqual(['GuestRunning False Booting', 'LinkAttached False NoLease', 'Ready True Ready'])
  })

  it('is a warning that began or ended, and not that nobody can tell meanwhile', () => {
    expect(
      told(
        conditions({ RestartRequired: ['False', 'UpToDate'] }),
        conditions({ RestartRequired: ['True', 'SpecChanged'] }),
        conditions({ RestartRequired: ['Unknown', 'Retrying'] }),
        conditions({ RestartRequired: ['True', 'SpecChanged'] }),
        conditions({ RestartRequired: ['False', 'UpToDate'] }),
      ),
    ).toEqual(['Ready True Ready', 'RestartRequired True SpecChanged', 'RestartRequired False UpToDate'])
  })

  it('is a suspension with its end', () => {
    expect(told(conditions({ Suspended: ['True', 'SuspendedByCommand'] }), conditions({}))).toEqual([
      'Ready True Ready',
      'Suspended True SuspendedByCommand',
      'Suspended False Over',
    ])
  })
})
