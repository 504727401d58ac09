import { leftovers } from './clear.ts'
import { docker } from './engine.ts'
import { leases } from './lan.ts'
import { type LabLayout, registryAddress, wwwAddress } from './layout.ts'
import { readRecord } from './processes.ts'
import { isUp } from './up.ts'

/** Prints what runs; 0 when all of it does, 3 when the lab is down, 1 when something is missing. */
export async function status(layout: LabLayout): Promise<number> {
  const lines: string[] = []
  const code = await describe(layout, (line) => lines.push(line))
  // In one piece: a reader such as head(1) may close the pipe after its first lines.
  process.stdout.write(`${lines.join('\n')}\n`)
  return code
}

async function describe(layout: LabLayout, print: (line: string) => void): Promise<number> {
  const complete = await isUp(layout)
  if (!complete && leftovers(layout).length === 0) {
    print(`lab "${layout.lab}" is down`)
    return 3
  }
  print(`lab "${layout.lab}" ${complete ? 'is up' : 'is incomplete; "npm run lab -- up" creates it again'}`)
  for (const node of layout.nodes) {
    const dockerd = readRecord(layout, `${node.name}.dockerd`)?.pid ?? 'down'
    const holder = readRecord(layout, `${node.name}.holder`)?.pid ?? 'off'
    print(`  ${node.name}  ${node.managementIp}  br0 ${node.bridgeIp}  dockerd ${dockerd}  namespace ${holder}  ${node.dockerSocket}`)
  }
  for (const job of ['dnsmasq', 'www', 'registry']) print(`  ${job} ${readRecord(layout, job)?.pid ?? 'down'}`)
  print(`  http://${wwwAddress} serves ${layout.www}; the registry is ${registryAddress}`)
  for (const lease of leases(layout)) print(`  lease ${lease.mac} ${lease.ip} ${lease.hostname}`)
  const nodes = await docker(layout, layout.nodes[0]?.dockerSocket ?? '', ['node', 'ls'], { timeoutMs: 5_000 })
  print(nodes.stdout.trimEnd())
  return complete ? 0 : 1
}
