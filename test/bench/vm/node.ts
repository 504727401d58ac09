/** The node that takes all VMs of the bench: its containers, and their processes as the machine sees them. */
import { readdirSync, readFileSync, readlinkSync } from 'node:fs'
import type { Lab } from '../../lab/lab.ts'
import { until } from '../../lab/run.ts'

export const node = 'n1'

/** IDs of the running containers whose name matches. */
export async function containers(lab: Lab, name: string): Promise<readonly string[]> {
  const listed = await lab.mustDocker(node, ['ps', '--quiet', '--filter', `name=${name}`])
  return listed.split('\n').filter((id) => id !== '')
}

export async function processesOf(lab: Lab, container: string): Promise<readonly number[]> {
  return withDescendants(Number(await lab.mustDocker(node, ['inspect', '--format', '{{.State.Pid}}', container])))
}

function withDescendants(pid: number): readonly number[] {
  const children = readdirSync(`/proc/${pid}/task`).flatMap((task) => {
    const listed = readFileSync(`/proc/${pid}/task/${task}/children`, 'utf8').trim()
    return listed === '' ? [] : listed.split(' ').map(Number)
  })
  return [pid, ...children.flatMap(withDescendants)]
}

export function isQemu(pid: number): boolean {
  return readlinkSync(`/proc/${pid}/exe`).includes('qemu-system')
}

export async function untilHalted(lab: Lab): Promise<void> {
  await until('the VMs to halt', 120_000, async () => ((await containers(lab, '^vm-')).length === 0 ? true : undefined))
}
