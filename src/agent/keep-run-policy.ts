import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import type { PrepareOrder, PrepareStatus } from '../api/wire/agent-api.ts'
import { alwaysRun, type FinishedRun, isOver, policyText, type RunPolicy, runPolicyFile } from '../api/wire/run-policy.ts'
import { PortError } from '../ports/errors.ts'
import type { Runners } from '../ports/runners.ts'
import type { StateFiles } from '../ports/state-files.ts'

const maxFileBytes = 4 * 1024

interface RunPolicyPorts {
  readonly files: Pick<StateFiles, 'stat' | 'readText' | 'writeAtomically'>
  readonly layout: Layout
  readonly runners: Pick<Runners, 'status'>
}

/**
 * Keeps the policy of the order in the VM's directory, where the runner reads it. An order without one means `Always`. Returns what the node can say
 * of it. Throws StateError.
 */
export async function keepRunPolicy(
  ports: RunPolicyPorts,
  { uid, run }: Pick<PrepareOrder, 'uid' | 'run'>,
): Promise<Pick<Extract<PrepareStatus, { state: 'ready' }>, 'run' | 'finished'>> {
  const { files, layout } = ports
  if ((await files.stat(layout.instance(uid))) === undefined) return {}
  const path = layout.runPolicyFile(uid)
  const text = await files.readText(path, maxFileBytes)
  if (text === undefined && run === undefined) return {}
  const wanted = { version: 1, ...(run ?? alwaysRun) } as const
  // An unreadable file is replaced: the order says what it must be.
  if (text === undefined || policyIn(text) !== policyText(wanted)) {
    await files.writeAtomically(path, `${JSON.stringify(wanted)}\n`, 0o440)
  }
  if (run === undefined) return {}
  const finished = await finishedOf(ports, uid, run)
  return { run, ...(finished === undefined ? {} : { finished }) }
}

/** Undefined if it is unreadable. */
function policyIn(text: string): string | undefined {
  try {
    return policyText(runPolicyFile.parse(JSON.parse(text)))
  } catch {
    return undefined
  }
}

/** Undefined while the guest may run, and without a runner. A runner that has not read the new policy yet reports an earlier run. */
async function finishedOf({ runners }: RunPolicyPorts, uid: VmUid, run: RunPolicy): Promise<FinishedRun | undefined> {
  try {
    const { finished } = await runners.status(uid)
    return finished !== undefined && isOver(run, finished) ? finished : undefined
  } catch (error) {
    if (error instanceof PortError) return undefined
    throw error
  }
}
