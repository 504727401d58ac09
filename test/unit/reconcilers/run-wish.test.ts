import { expect, test } from 'vitest'
import { objectLabels } from '../../../src/api/labels.ts'
import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { isOver, policyText } from '../../../src/api/wire/run-policy.ts'
import { whyNotByHand } from '../../../src/controller/api/power.ts'
import { isPolicyKept, runLabels, runNotes, runWish } from '../../../src/reconcilers/shared/run-wish.ts'
import { aVmName } from '../../support/branded.ts'

type Strategy = VirtualMachine['spec']['runStrategy']

function aVm(runStrategy: Strategy): Pick<VirtualMachine, 'metadata' | 'spec'> {
  return { metadata: { name: aVmName('web'), labels: {}, annotations: {} }, spec: { runStrategy } as VirtualMachine['spec'] }
}

test.each<[Strategy, string | undefined, string | undefined, string]>([
  ['Always', undefined, undefined, 'on, Always'],
  ['Always', 'off', 'Succeeded', 'on, Always'],
  ['Halted', 'r1', undefined, 'off, Halted'],
  ['RerunOnFailure', undefined, undefined, 'on, RerunOnFailure'],
  ['RerunOnFailure', 'off', undefined, 'off, Stopped'],
  ['RerunOnFailure', undefined, 'Succeeded', 'off, Succeeded'],
  ['RerunOnFailure', 'r1', 'Succeeded', 'on, RerunOnFailure r1'],
  ['RerunOnFailure', 'r1', 'Succeeded r1', 'off, Succeeded'],
  ['RerunOnFailure', 'r2', 'Succeeded r1', 'on, RerunOnFailure r2'],
  ['Once', undefined, undefined, 'on, Once'],
  ['Once', 'off', undefined, 'on, Once'],
  ['Once', undefined, 'Failed', 'off, Failed'],
  ['Once', 'r1', 'Succeeded', 'off, Succeeded'],
  ['Once', 'r1', 'Succeeded r0', 'off, Succeeded'],
  ['Manual', undefined, undefined, 'off, Stopped'],
  ['Manual', 'off', undefined, 'off, Stopped'],
  ['Manual', 'r1', undefined, 'on, Manual r1'],
  ['Manual', 'r1', 'Failed r1', 'off, Failed'],
  ['Manual', 'r2', 'Failed r1', 'on, Manual r2'],
])('with runStrategy %s, the request %s and the end %s, the VM is %s', (strategy, request, finished, wanted) => {
  const labels = {
    ...(request === undefined ? {} : { [objectLabels.run]: request }),
    ...(finished === undefined ? {} : { [objectLabels.finished]: finished }),
  }
  const wish = runWish(aVm(strategy), runNotes(labels, undefined))
  expect(wish.kind === 'on' ? `on, ${policyText(wish.policy)}` : `off, ${wish.reason}`).toBe(wanted)
})

test('a lost record is no reason to stop a VM that somebody started: its service has the request too', () => {
  const record = { [objectLabels.run]: 'r1' }
  const labels = runLabels(runWish(aVm('Manual'), runNotes(record, undefined)), runNotes(record, undefined))
  const service = { labels, spec: {} }
  expect(runWish(aVm('Manual'), runNotes({}, service)).kind).toBe('on')
})

test('a service of release 0.1 gets no label, and a VM that is always on needs no answer of its node', () => {
  const wish = runWish(aVm('Always'), runNotes({}, undefined))
  expect(runLabels(wish, runNotes({}, undefined))).toEqual({})
  expect(isPolicyKept(wish, undefined)).toBe(true)
})

test('a halted VM keeps the policy of its node, so that a finished guest never runs again', () => {
  const record = { [objectLabels.runPolicy]: 'Once' }
  const notes = runNotes(record, undefined)
  const wish = runWish(aVm('Halted'), notes)
  expect([wish.kind, policyText(wish.policy), isPolicyKept(wish, record)]).toEqual(['off', 'Once', true])
  expect(runLabels(wish, notes)).toEqual({})
  expect(policyText(runWish(aVm('Halted'), runNotes({ [objectLabels.runPolicy]: 'Manual r1' }, undefined)).policy)).toBe('Manual r1')
})

test('another strategy waits until its node has the policy of exactly this run', () => {
  const wish = runWish(aVm('Manual'), runNotes({ [objectLabels.run]: 'r2' }, undefined))
  expect(isPolicyKept(wish, { [objectLabels.runPolicy]: 'Manual r1' })).toBe(false)
  expect(isPolicyKept(wish, { [objectLabels.runPolicy]: 'Manual r2' })).toBe(true)
})

test.each<[Strategy, string, string, boolean]>([
  ['Once', '', '', true],
  ['Once', '', 'r1', true],
  ['Manual', 'r1', 'r1', true],
  ['Manual', 'r2', 'r1', false],
  ['Always', '', '', false],
])('with the policy %s "%s", the end of the run "%s" is for good: %s', (strategy, run, ended, over) => {
  if (strategy === 'Halted') throw new Error('a halted VM has no runner')
  expect(isOver({ strategy, run }, { result: 'Succeeded', run: ended })).toBe(over)
})

test.each<['start' | 'stop', Strategy, string | undefined]>([
  ['start', 'Manual', undefined],
  ['stop', 'RerunOnFailure', undefined],
  [
    'stop',
    'Always',
    'the line "runStrategy: Always" of its manifest decides whether web runs; edit it to "runStrategy: Halted" to stop it now, or to Manual to use docker vm start and stop',
  ],
  [
    'start',
    'Halted',
    'the line "runStrategy: Halted" of its manifest decides whether web runs; edit it to "runStrategy: Always" to start it now, or to Manual to use docker vm start and stop',
  ],
  [
    'start',
    'Always',
    'the line "runStrategy: Always" of its manifest decides whether web runs; edit it to Manual to use docker vm start and stop',
  ],
  [
    'start',
    'Once',
    'the line "runStrategy: Once" of its manifest decides whether web runs; edit it to Manual to use docker vm start and stop',
  ],
])('docker vm %s of a VM with runStrategy %s is answered with %s', (verb, strategy, why) => {
  expect(whyNotByHand(verb, aVm(strategy))).toBe(why)
})

test('an edit to Manual leaves a VM running that runs, and docker vm stop stops it', () => {
  const service = { labels: {}, spec: { Mode: { Replicated: { Replicas: 1 } } } }
  expect(runWish(aVm('Manual'), runNotes({}, service)).kind).toBe('on')
  expect(runWish(aVm('Manual'), runNotes({ [objectLabels.run]: 'off' }, service)).kind).toBe('off')
})
