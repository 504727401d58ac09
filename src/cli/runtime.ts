/** The oldest Node that the plugin supports. All other programs include their own. */
export const leastNode = 22

/** The message for the user of an older Node. Undefined if it is new enough. */
export function tooOldNode(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= leastNode) return undefined
  return `docker vm needs Node.js ${leastNode} or later, but this is ${version}; install a newer one, or set SWARMVIRT_NODE to its path`
}
