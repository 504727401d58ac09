import type { SwarmNode } from '../../ports/swarm.ts'

/** Why an agent does not answer, by what the Swarm says of its node; the command that ends it comes last. */
export function whyAway(node: SwarmNode | undefined, said: string): { readonly reason: string; readonly message: string } {
  if (node === undefined) return { reason: 'AgentUnreachable', message: `the agent on its node does not answer (${said})` }
  if (node.availability === 'drain') return { reason: 'NodeDrained', message: drained(node) }
  const { hostname, state } = node
  if (state !== 'ready')
    return { reason: 'NodeDown', message: `${hostname} is ${state}, and its agent does not answer (${said}); see: docker node ls` }
  return { reason: 'AgentUnreachable', message: `the agent on ${hostname} does not answer (${said})` }
}

export function drained({ hostname }: Pick<SwarmNode, 'hostname'>): string {
  return `${hostname} is drained, which stops its VMs and its agent; to end that: docker node update --availability active ${hostname}`
}
