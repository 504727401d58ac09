import type { SwarmNode } from '../../ports/swarm.ts'

/** Explains why an agent is unreachable from the state of its Swarm node; ends with the command to type. */
export function whyAway(node: SwarmNode | undefined, said: string): { readonly reason: string; readonly message: string } {
  if (node === undefined) return { reason: 'AgentUnreachable', message: `the agent on its node is not responding (${said})` }
  if (node.availability === 'drain') return { reason: 'NodeDrained', message: drained(node) }
  const { hostname, state } = node
  if (state !== 'ready')
    return { reason: 'NodeDown', message: `${hostname} is ${state}, and its agent is not responding (${said}); see: docker node ls` }
  return { reason: 'AgentUnreachable', message: `the agent on ${hostname} is not responding (${said})` }
}

export function drained({ hostname }: Pick<SwarmNode, 'hostname'>): string {
  return `${hostname} is drained, which stops its VMs and its agent; to end that: docker node update --availability active ${hostname}`
}
