import type { VmStatus } from '../../api/wire/agent-api.ts'
import type { SwarmTask } from '../../ports/swarm.ts'

/** Docker uses this many characters of a container's id as its hostname. */
const idLength = 12
/** More than the clocks of a manager and a node may differ. */
const skewMs = 60_000

/**
 * Says why a node's status belongs to another container than this task's. A previous task lives on until its guest has powered off, with
 * the same control socket, TAP and address. Undefined if the status belongs to this task, or if that is unknown.
 */
export function whyOfAnother(task: SwarmTask, { runner, lease }: Pick<VmStatus, 'runner' | 'lease'>): string | undefined {
  if (runner !== null && isOther(task, runner.container)) return `container ${runner.container} still runs the guest`
  if (lease?.held === true && isOther(task, lease.container)) return `container ${lease.container} still holds the lease`
  if (runner?.container !== undefined || runner === null || task.createdAt === undefined) return undefined
  // A runner of release 0.1 does not report its container.
  const isOlder = Date.parse(runner.startedAt) < Date.parse(task.createdAt) - skewMs
  return isOlder ? `the runner has run since ${runner.startedAt}, before the task was created` : undefined
}

function isOther({ containerId }: SwarmTask, said: string | undefined): boolean {
  if (said === undefined || containerId === undefined) return false
  return said.length < idLength || !containerId.startsWith(said)
}
