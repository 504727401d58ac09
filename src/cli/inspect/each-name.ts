import type { ControllerApi } from '../../ports/controller-api.ts'
import type { Outcome } from '../output/outcome.ts'
import type { ClusterPorts } from './verbs.ts'

export type Answer = { readonly said: string } | { readonly error: string }
export type Tell = (api: ControllerApi, name: string) => Promise<Answer>

export function unknownVm(name: string): Answer {
  return { error: `there is no VM "${name}"` }
}

/** A failure for one VM does not stop the others. */
export async function eachName(ports: Pick<ClusterPorts, 'connect'>, names: readonly string[], tell: Tell): Promise<Outcome> {
  const api = await ports.connect()
  const told: Answer[] = []
  for (const name of new Set(names)) told.push(await tell(api, name))
  const errors = told.flatMap((one) => ('error' in one ? [`error: ${one.error}\n`] : []))
  const said = told.flatMap((one) => ('said' in one ? [`${one.said}\n`] : []))
  return { exit: errors.length > 0 ? 1 : 0, out: said.join(''), err: errors.join('') }
}
