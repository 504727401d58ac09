import { sha256Hex } from './hash.ts'
import type { VmName } from './names.ts'

const first = 10_022
/** The ports of the first choice: `10022 + hash(name) mod 100`. */
const hundred = 100
/** More VMs than this never run in one cluster. The last port is below those that the kernel gives to outgoing connections. */
const most = 10_000

/** The ports of a VM in the order of preference: its own of the first hundred, the ones after it in a circle, then all beyond. */
function portAt(start: number, index: number): number {
  return index < hundred ? first + ((start + index) % hundred) : first + index
}

function startOf(vm: VmName): number {
  return Number.parseInt(sha256Hex(`swarmvirt/ssh/v1/${vm}`).slice(0, 8), 16) % hundred
}

/**
 * The port of one of several VMs without a port. They choose in the order of their names, so each gets the same port in any order of
 * requests, and also when some of them have theirs already. Undefined if all ports are taken.
 */
export function chooseSshPort(vm: VmName, waiting: readonly VmName[], taken: ReadonlySet<number>): number | undefined {
  const used = new Set(taken)
  for (const one of [...new Set([...waiting, vm])].toSorted()) {
    const port = firstFree(one, used)
    if (one === vm || port === undefined) return port
    used.add(port)
  }
  return undefined
}

function firstFree(vm: VmName, used: ReadonlySet<number>): number | undefined {
  const start = startOf(vm)
  for (let index = 0; index < most; index += 1) {
    const port = portAt(start, index)
    if (!used.has(port)) return port
  }
  return undefined
}
