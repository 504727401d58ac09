/**
 * Two switches and the nodes' cables. Both ends of a veth pair are made inside their namespaces, so the machine's root
 * namespace, where another dockerd may filter what is forwarded, never sees an interface of the lab.
 */
import { dmzGateway, lanGateway, type LabLayout, managementGateway, type NodeLayout } from './layout.ts'
import { namedNetns } from './processes.ts'
import { must, run, until } from './run.ts'

async function ipBatch(lines: readonly string[]): Promise<void> {
  await must(['ip', '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

async function inNetns(netns: string, lines: readonly string[]): Promise<void> {
  await must(['ip', '-n', netns, '-batch', '-'], { input: `${lines.join('\n')}\n` })
}

async function makeSwitch(netns: string, bridge: string, address: string): Promise<void> {
  await inNetns(netns, [`link add ${bridge} type bridge`, `addr add ${address}/24 dev ${bridge}`, `link set ${bridge} up`])
}

export async function makeSwitches(layout: LabLayout): Promise<void> {
  for (const netns of [layout.mgmtNetns, layout.lanNetns]) {
    await must(['ip', 'netns', 'add', netns])
    await inNetns(netns, ['link set lo up'])
  }
  await makeSwitch(layout.mgmtNetns, 'sw', managementGateway)
  await makeSwitch(layout.lanNetns, 'sw', lanGateway)
  await makeSwitch(layout.lanNetns, 'dmz', dmzGateway)
}

/**
 * A node's namespace: `mgmt0` on the management network, `lan0` under `br0` on the LAN, `dmz0` under `br1` on the second LAN, and `eth1` on the
 * LAN for direct NICs.
 */
export async function plugIn(layout: LabLayout, node: NodeLayout): Promise<void> {
  await unplug(layout, node)
  await must(['ip', 'netns', 'add', node.netns])
  await ipBatch([
    `link add mgmt0 netns ${node.netns} type veth peer name ${node.name} netns ${layout.mgmtNetns}`,
    `link add lan0 netns ${node.netns} type veth peer name ${node.name} netns ${layout.lanNetns}`,
    `link add dmz0 netns ${node.netns} type veth peer name ${node.name}-dmz netns ${layout.lanNetns}`,
    `link add eth1 netns ${node.netns} type veth peer name ${node.name}-eth1 netns ${layout.lanNetns}`,
  ])
  await Promise.all([
    inNetns(layout.mgmtNetns, [`link set ${node.name} master sw up`]),
    inNetns(layout.lanNetns, [
      `link set ${node.name} master sw up`,
      `link set ${node.name}-dmz master dmz up`,
      `link set ${node.name}-eth1 master sw up`,
    ]),
    inNetns(node.netns, [
      'link set lo up',
      `addr add ${node.managementIp}/24 dev mgmt0`,
      'link set mgmt0 up',
      // An address of its own: else the bridge changes its MAC whenever a port with a lower one comes or goes.
      `link add br0 address ${node.bridgeMac} type bridge`,
      'link set lan0 master br0 up',
      `addr add ${node.bridgeIp}/24 dev br0`,
      'link set br0 up',
      'link add br1 type bridge',
      'link set dmz0 master br1 up',
      `addr add ${node.dmzIp}/24 dev br1`,
      'link set br1 up',
      // The node must not answer there for its address on br0.
      'link set eth1 arp off up',
    ]),
  ])
  // dockerd sets the policy of FORWARD to DROP, and with br_netfilter that drops what the bridge passes on.
  for (const bridge of ['br0', 'br1'])
    await must(['nsenter', `--net=/run/netns/${node.netns}`, 'iptables', '-w', '-I', 'FORWARD', '-i', bridge, '-o', bridge, '-j', 'ACCEPT'])
}

/**
 * Takes a node's cables away for certain: the kernel would do so some time after its namespace is gone, and a deletion may lose against
 * the end of the other side.
 */
export async function unplug(layout: LabLayout, node: NodeLayout): Promise<void> {
  const cables = [
    [layout.mgmtNetns, node.name],
    [layout.lanNetns, node.name],
    [layout.lanNetns, `${node.name}-dmz`],
    [layout.lanNetns, `${node.name}-eth1`],
  ] as const
  for (const [netns, cable] of cables) {
    await until(`the cable ${cable} to be out of ${netns}`, 10_000, async () => {
      const found = await run(['ip', '-n', netns, 'link', 'show', cable])
      if (found.code !== 0) return true
      await run(['ip', '-n', netns, 'link', 'del', cable])
      return undefined
    })
  }
}

/** Removes a namespace; its interfaces and their other ends go with it once no process is inside. */
export async function removeNetns(name: string): Promise<void> {
  if (namedNetns(name) !== undefined) await must(['ip', 'netns', 'del', name])
}
