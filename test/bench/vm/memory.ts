import { readFileSync } from 'node:fs'
import type { Lab } from '../../lab/lab.ts'
import type { Figure } from '../figures.ts'
import { containers, isQemu, processesOf } from './node.ts'

const aimMiB = 28

/** Memory of all processes in a VM's container except QEMU, and its share of agent and broker. QEMU is the baseline. */
export async function measureMemory(lab: Lab): Promise<Figure> {
  const sizes = async (name: string) => {
    const found = await containers(lab, name)
    const pids = (await Promise.all(found.map((id) => processesOf(lab, id)))).flat()
    const [qemu, others] = [pids.filter(isQemu), pids.filter((pid) => !isQemu(pid))]
    return { count: found.length, qemuMiB: pssMiB(qemu), othersMiB: pssMiB(others) }
  }
  const vms = await sizes('^vm-')
  const [agent, broker] = [await sizes('^swarmvirt_agent'), await sizes('^swarmvirt-broker')]
  const beyondMiB = (vms.othersMiB + agent.othersMiB + broker.othersMiB) / vms.count
  const parts = `runner ${mib(vms.othersMiB / vms.count)}, agent ${mib(agent.othersMiB)}, broker ${mib(broker.othersMiB)}`
  const bare = `bare QEMU ${mib(vms.qemuMiB / vms.count)}`
  return { measured: `${mib(beyondMiB)} MiB (${vms.count} VMs; ${parts}; ${bare})`, isMet: beyondMiB <= aimMiB }
}

function mib(value: number): string {
  return value.toFixed(1)
}

/** Proportional set size: each process counts a share of what it shares, so the sizes of all processes add up. */
function pssMiB(pids: readonly number[]): number {
  const kib = pids.map((pid) => Number(/^Pss:\s+(\d+) kB/m.exec(readFileSync(`/proc/${pid}/smaps_rollup`, 'utf8'))?.[1] ?? Number.NaN))
  return kib.reduce((sum, one) => sum + one, 0) / 1024
}
