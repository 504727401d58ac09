/** The oldest Node that the plugin runs on. Everything else of swarmvirt brings its own. */
export const leastNode = 22

/** What to tell the user of an older one; undefined where it is new enough. */
export function tooOldNode(version: string): string | undefined {
  if (Number.parseInt(version, 10) >= leastNode) return undefined
  return `docker vm needs Node.js ${leastNode} or later, but this is ${version}; install a newer one, or set SWARMVIRT_NODE to its path`
}
