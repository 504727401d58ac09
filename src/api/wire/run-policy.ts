import * as z from 'zod/mini'
import { cleanText } from './common.ts'

/** KubeVirt's words. `Halted` is not among them: a halted VM has no runner. */
export const runStrategies = ['Always', 'RerunOnFailure', 'Once', 'Manual'] as const

/**
 * The rule for the end of the guest. It travels in the prepare order, and the agent keeps it as `run-policy.json` in the VM's directory, because
 * a change of the task template would restart the VM. A runner reads it before each start and at each end. Without the file, and for a runner
 * of release 0.1, the strategy is `Always`.
 */
export const runPolicy = z.object({
  strategy: z.enum(runStrategies),
  /** Names the request to run (`docker vm start`). A guest that finished runs again only for another one. Empty if there was none. */
  run: cleanText(64),
})
export type RunPolicy = z.output<typeof runPolicy>

export const runPolicyFile = z.object({ version: z.literal(1), ...runPolicy.shape })

export const alwaysRun: RunPolicy = { strategy: 'Always', run: '' }

/** A guest that ended for good. */
export const finishedRun = z.object({
  result: z.enum(['Succeeded', 'Failed']),
  /** The `run` of the policy in force. */
  run: cleanText(64),
})
export type FinishedRun = z.output<typeof finishedRun>

/**
 * `run/finished.json`, which the runner writes beside the disks. It outlives the service, its labels and the placement record.
 * `null` after another start. */
export const finishedFile = z.nullable(
  z.object({ version: z.literal(1), at: cleanText(40), message: cleanText(2_048), ...finishedRun.shape }),
)
export type FinishedFile = NonNullable<z.output<typeof finishedFile>>

/** Pure. `Once` never runs again; the others run again for another request. `Always` forgets the end. */
export function isOver(policy: RunPolicy, finished: FinishedRun | undefined): finished is FinishedRun {
  if (finished === undefined || policy.strategy === 'Always') return false
  return policy.strategy === 'Once' || finished.run === policy.run
}

/** As a label: `Succeeded 2026-11-29T20:00:00Z`. */
export function finishedText({ result, run }: FinishedRun): string {
  return `${result} ${run}`.trimEnd()
}

export function finishedIn(text: string | undefined): FinishedRun | undefined {
  const [result, run = ''] = (text ?? '').split(' ')
  return result === 'Succeeded' || result === 'Failed' ? { result, run } : undefined
}

/** Reads `policyText`. Undefined for `Always`, which is never noted, and for what a later release wrote. */
export function policyOf(text: string | undefined): RunPolicy | undefined {
  const [strategy, run = ''] = (text ?? '').split(' ')
  const known = runPolicy.safeParse({ strategy, run })
  return known.success && known.data.strategy !== 'Always' ? known.data : undefined
}

export function policyText({ strategy, run }: RunPolicy): string {
  return `${strategy} ${run}`.trimEnd()
}
