import { expect, test } from 'vitest'
import { type LifeEvent, nextLife, phaseOf, type RunnerState, runnerStates } from '../../runner/state-machine.ts'
import { runnerStatus } from '../../src/api/wire/runner-control.ts'

const events: Record<string, LifeEvent> = {
  backingOff: { kind: 'backingOff', message: 'why' },
  noBroker: { kind: 'waiting', state: 'WaitingForBroker', message: 'why' },
  locked: { kind: 'waiting', state: 'WaitingForPrevious', message: 'why' },
  leased: { kind: 'leased' },
  booted: { kind: 'booted' },
  paused: { kind: 'paused', message: 'why' },
  resumed: { kind: 'resumed' },
  stopping: { kind: 'stopping', message: 'why' },
  off: { kind: 'off', message: 'why' },
  corrupt: { kind: 'diskCorrupt', message: 'why' },
  succeeded: { kind: 'finished', result: 'Succeeded', message: 'why' },
  failed: { kind: 'finished', result: 'Failed', message: 'why' },
}
const happens = {
  off: {
    backingOff: 'CrashLoopBackOff',
    noBroker: 'WaitingForBroker',
    locked: 'WaitingForPrevious',
    leased: 'Booting',
    off: 'Stopped',
    corrupt: 'DiskCorrupt',
    succeeded: 'Succeeded',
    failed: 'Failed',
  },
  on: {
    noBroker: 'WaitingForBroker',
    locked: 'WaitingForPrevious',
    off: 'Stopped',
    corrupt: 'DiskCorrupt',
    succeeded: 'Succeeded',
    failed: 'Failed',
  },
} as const

/** The states that follow. An event that a state does not name changes nothing. */
const table: Record<RunnerState, Partial<Record<string, RunnerState>>> = {
  Starting: happens.off,
  CrashLoopBackOff: happens.off,
  WaitingForBroker: happens.off,
  WaitingForGrant: happens.off,
  WaitingForPrevious: happens.off,
  Stopped: happens.off,
  DiskCorrupt: happens.off,
  Succeeded: happens.off,
  Failed: happens.off,
  Booting: { ...happens.on, booted: 'Running', stopping: 'Stopping' },
  Running: { ...happens.on, paused: 'Paused', stopping: 'Stopping' },
  Paused: { ...happens.on, paused: 'Paused', resumed: 'Running', stopping: 'Stopping' },
  Stopping: { ...happens.on, stopping: 'Stopping' },
}

test.each(runnerStates.flatMap((state) => Object.keys(events).map((event) => [state, event] as const)))(
  'in state %s, the event %s has the listed effect',
  (state, event) => {
    const life = { state, message: 'before' }
    const next = nextLife(life, events[event] ?? { kind: 'leased' })
    const wanted = table[state][event]
    if (wanted === undefined) expect(next.state).toBe(state)
    else expect(next.state).toBe(wanted)
  },
)

test('a repeated event returns the same object, so that the log has one line for it', () => {
  const life = nextLife({ state: 'Running', message: '' }, { kind: 'paused', message: 'disk full' })
  expect(nextLife(life, { kind: 'paused', message: 'disk full' })).toBe(life)
})

test('every state has a word that an agent of release 0.1 accepts', () => {
  const known = [
    'Starting',
    'WaitingForBroker',
    'WaitingForPrevious',
    'WaitingForGrant',
    'CrashBackoff',
    'Booting',
    'Running',
    'ShuttingDown',
    'Stopped',
  ]
  expect(runnerStatus.shape.phase.def.entries).toEqual(Object.fromEntries(known.map((one) => [one, one])))
  for (const state of runnerStates) expect(known).toContain(phaseOf(state))
})
