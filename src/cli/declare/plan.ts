import { newInstanceHint } from '../../api/manifest/edits.ts'
import type { PlannedStep, VmPlan } from '../../api/wire/plan.ts'
import { editLine } from '../output/edit-lines.ts'
import { printable } from '../output/outcome.ts'
import { aligned } from '../output/table.ts'

/** Describes what the next reconcile of a VM will do. */
export function planText(plan: VmPlan): string {
  return [`${plan.name}: ${headline(plan)}\n`, ...steps(plan), ...edits(plan), ...notes(plan)].join('')
}

function headline({ suspended, steps, edits, editsTakeHold, waitsFor }: VmPlan): string {
  const guest = guests.find((one) => steps.some((step) => step.guest === one))
  const doing = steps.length === 0 ? 'nothing to do' : `${counted(steps.length, 'change')}, ${guestTexts[guest ?? 'untouched']}`
  const waiting = edits.filter((one) => editsTakeHold === 'restart' || one.effect === 'destroys-data').length
  const parts = [
    suspended === null ? doing : `suspended; on resume: ${doing}`,
    ...(waiting === 0 ? [] : [`${counted(waiting, 'edit')} ${waiting === 1 ? 'waits' : 'wait'}`]),
    ...(waitsFor === '' ? [] : ['waiting']),
  ]
  return parts.join('; ')
}

/** Strongest effect first. */
const guests = ['restarts', 'stops', 'starts'] as const
const guestTexts: Readonly<Record<PlannedStep['guest'], string>> = {
  untouched: 'the guest keeps running',
  starts: 'starts the guest',
  stops: 'stops the guest',
  restarts: 'restarts the guest',
}
const signs: Readonly<Record<PlannedStep['verb'], string>> = { create: '+', change: '~', remove: '-' }

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`
}

function steps({ steps }: VmPlan): readonly string[] {
  if (steps.length === 0) return []
  const effect = ({ guest }: PlannedStep): string => (guest === 'untouched' ? 'live' : guestTexts[guest])
  return [indented(steps.map((step) => [`${signs[step.verb]} ${step.object}`, effect(step), step.why]))]
}

function edits({ name, edits, editsTakeHold }: VmPlan): readonly string[] {
  if (edits.length === 0) return []
  const title = editsTakeHold === 'now' ? 'edits that these changes apply' : `edits; those marked restart are applied by: ${restart(name)}`
  const hint = newInstanceHint(edits)
  return [
    `  ${title}\n`,
    indented(edits.map(editLine)).replaceAll(/^/gm, '  ').trimEnd(),
    '\n',
    ...(hint === undefined ? [] : [`  ${hint}\n`]),
  ]
}

function restart(name: string): string {
  return `docker service update --force vm-${name}`
}

function notes({ suspended, waitsFor, unknown }: VmPlan): readonly string[] {
  const lines = [
    ...(suspended === null ? [] : [suspended]),
    ...(waitsFor === '' ? [] : [`waits: ${waitsFor}`]),
    ...unknown.map((one) => `unknown: ${one}`),
  ]
  return lines.map((line) => `  ${printable(line)}\n`)
}

function indented(lines: readonly (readonly string[])[]): string {
  return aligned(lines).replaceAll(/^(?=.)/gm, '  ')
}
