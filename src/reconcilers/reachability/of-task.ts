import type { VmStatus } from '../../api/wire/agent-api.ts'
import type { SwarmTask } from '../../ports/swarm.ts'

/** Docker makes this much of a container's id its hostname. */
const idLength = 12
/** Beyond what the clocks of a manager and a node may differ. */
const skewMs = 60_000

/**
 * Why what a node says of a VM is not about this task: who answers there is of another container. A predecessor lives on for as long as its guest
 * takes to power off, on the same control socket, TAP and address. Undefined where it is about this task, or nobody can tell.
 */
export function whyOfAnother(task: SwarmTask, { runner, lease }: Pick<VmStatus, 'runner' | 'lease'>): string | undefined {
  if (runner !== null && isOther(task, runner.container)) return `the runner that answers is of container ${runner.container}`
  if (lease?.held === true && isOther(task, lease.container)) return `the lease is held by container ${lease.container}`
  if (runner?.container !== undefined || runner === null || task.createdAt === undefined) return undefined
  // Release 0.1 does not name its container.
  const isOlder = Date.parse(runner.startedAt) < Date.parse(task.createdAt) - skewMs
  return isOlder ? `the runner that answers has run since ${runner.startedAt}, before the task was made` : undefined
}

function isOther({ containerId }: SwarmTask, said: string | undefined): boolean {
  if (said === undefined || containerId === undefined) return false
  return said.length < idLength || !containerId.startsWith(said)
}
