import type { ControllerApi } from '../../ports/controller-api.ts'
import { done, type Outcome, printable } from '../output/outcome.ts'
import { blockedText } from '../output/views.ts'

/**
 * Shows blocked removals, and confirms exactly these with `--yes`. Given names must match them, so that nobody confirms a removal that they have not
 * seen.
 */
export async function confirmRemoval(
  api: Pick<ControllerApi, 'sources' | 'confirmRemoval'>,
  given: readonly string[],
  yes: boolean,
): Promise<Outcome> {
  const view = await api.sources()
  const { withheld } = view
  if (given.length === 0 && withheld.length === 0) return done('no removal is blocked\n')
  const names = given.length === 0 ? withheld : [...new Set(given)].toSorted()
  if (names.join(' ') !== withheld.toSorted().join(' ')) return otherBlocked(withheld)
  if (!yes) return { exit: 1, out: `${lines(blockedText(view))}\n${ask(names)}`, err: '' }
  const answer = await api.confirmRemoval(names)
  return answer.kind === 'other' ? otherBlocked(answer.withheld) : done(`${answer.names.map((name) => `${name}\n`).join('')}\n${promise}`)
}

const promise =
  'confirmed: they are removed after the removal grace period unless their manifests are restored; disks are kept unless a manifest said deletionPolicy: Delete\n'

/** Keeps the suggested command line short. Above this, it has no names. */
const mostNames = 50

function ask(names: readonly string[]): string {
  const shown = names.length > mostNames ? '' : ` ${names.join(' ')}`
  return `Nothing was confirmed. To shut them down and remove them, with the disks of those whose manifests said deletionPolicy: Delete, run:\n  docker vm confirm-removal --yes${shown}\n`
}

function otherBlocked(withheld: readonly string[]): Outcome {
  const now = withheld.length === 0 ? 'no removal is blocked now' : `these are:\n  ${withheld.join(' ')}`
  return {
    exit: 1,
    out: '',
    err: `error: nothing was confirmed: the names must be exactly the VMs whose removal is blocked; ${lines(now)}\n`,
  }
}

function lines(text: string): string {
  return text.split('\n').map(printable).join('\n')
}
