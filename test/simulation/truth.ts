import { canonicalJson } from '../../src/api/hash.ts'
import { effectOf, machineAbout } from '../../src/api/manifest/fields.ts'
import type { VirtualMachine } from '../../src/api/manifest.ts'

/** The history of one VM in the sources, which only the test knows. */
export interface TruthOfVm {
  state: 'valid' | 'invalid' | 'absent'
  /** The last valid one. */
  generation: string | undefined
  vm: VirtualMachine | undefined
  /** Every valid generation there ever was. */
  readonly generations: Set<string>
  /** Since when it is in no source and all of them can be read. */
  absentSinceMs: number | undefined
  /** Until when a removal that was begun in time may still arrive. */
  removableUntilMs: number
  haltedUntilMs: number
  /** A field was edited that only applies after a restart. */
  editWaits: boolean
  /** It vanished with others, or was the last of its source: its disks do not go before a person confirms it. */
  mustConfirm: boolean
  confirmed: boolean
  /** Template changes of a running VM that somebody other than the controller brought about. */
  restartsOwed: number
}

/** A controller may act for so long on what it last read: the resync, a call that hangs, and what lies between. */
const lateMs = 45_000

export class Truth {
  readonly vms = new Map<string, TruthOfVm>()
  /** Too many are absent at once, so none may be removed without a confirmation. */
  isMass = false
  readonly #graceMs: number

  constructor(graceMs: number) {
    this.#graceMs = graceMs
  }

  of(vm: string): TruthOfVm | undefined {
    return this.vms.get(vm)
  }

  declared(name: string, vm: VirtualMachine, generation: string, nowMs: number): void {
    const one = this.#present(name, nowMs)
    if (one.vm?.spec.runStrategy === 'Halted') one.haltedUntilMs = nowMs + lateMs
    if (one.vm !== undefined && needsRestart(one.vm, vm)) one.editWaits = true
    // Such an edit is a person's restart, and so is the change of policy while an edit waits; an edit of anything else is none.
    if (vm.spec.updatePolicy === 'Restart' && one.editWaits) {
      one.restartsOwed += 1
      one.editWaits = false
    }
    Object.assign(one, { state: 'valid', vm, generation })
    one.generations.add(generation)
  }

  broken(name: string, nowMs: number): void {
    const wasOver = this.mayBeRemoved(name, nowMs)
    const one = this.#present(name, nowMs)
    // A removed VM has no last valid state.
    if (wasOver) Object.assign(one, { generation: undefined, vm: undefined })
    one.state = 'invalid'
  }

  /** `isLast`: nothing is left in its source. */
  gone(name: string, nowMs: number, isLast: boolean): void {
    const one = this.#of(name)
    one.state = 'absent'
    one.absentSinceMs ??= nowMs
    const crowd = [...this.vms.values()].filter((each) => each.state === 'absent' && !each.confirmed && !this.#isOver(each, nowMs))
    if (isLast || crowd.length > 1) for (const each of crowd) each.mustConfirm = true
  }

  /** A person says that its removal is meant: the grace begins. */
  confirm(name: string, nowMs: number): void {
    Object.assign(this.#of(name), { confirmed: true, absentSinceMs: nowMs })
  }

  /** While a source cannot be read nothing is absent. */
  unreadable(nowMs: number): void {
    for (const one of this.vms.values()) this.#notAbsent(one, nowMs)
  }

  readable(nowMs: number): void {
    for (const one of this.vms.values()) if (one.state === 'absent') one.absentSinceMs ??= nowMs
  }

  /** The VM was in no source for the whole grace, now or a moment ago. */
  mayBeRemoved(name: string, nowMs: number): boolean {
    const one = this.of(name)
    if (one === undefined || this.isMass) return false
    if (one.mustConfirm && !one.confirmed && one.vm?.spec.deletionPolicy === 'Delete') return false
    return nowMs <= one.removableUntilMs || this.#isOver(one, nowMs)
  }

  mayBeHalted(name: string, nowMs: number): boolean {
    const one = this.of(name)
    return one !== undefined && (one.vm?.spec.runStrategy === 'Halted' || nowMs <= one.haltedUntilMs)
  }

  /** Somebody changed the template of its service, or restarted it: the controller may answer with one change of its own. */
  owesRestart(name: string): void {
    this.#of(name).restartsOwed += 1
  }

  #present(name: string, nowMs: number): TruthOfVm {
    const one = this.#of(name)
    this.#notAbsent(one, nowMs)
    return one
  }

  #notAbsent(one: TruthOfVm, nowMs: number): void {
    if (this.#isOver(one, nowMs)) one.removableUntilMs = nowMs + lateMs
    Object.assign(one, { absentSinceMs: undefined, mustConfirm: false, confirmed: false })
  }

  #isOver(one: TruthOfVm, nowMs: number): boolean {
    return one.absentSinceMs !== undefined && nowMs - one.absentSinceMs >= this.#graceMs
  }

  #of(name: string): TruthOfVm {
    const found = this.vms.get(name)
    if (found !== undefined) return found
    const made: TruthOfVm = {
      state: 'absent',
      generation: undefined,
      vm: undefined,
      generations: new Set(),
      absentSinceMs: undefined,
      removableUntilMs: 0,
      haltedUntilMs: 0,
      editWaits: false,
      mustConfirm: false,
      confirmed: false,
      restartsOwed: 0,
    }
    this.vms.set(name, made)
    return made
  }
}

/** By the marks of the schema, which real dockerd was asked about (test/contract/swarm-facts). */
function needsRestart(before: VirtualMachine, after: VirtualMachine): boolean {
  return editedPaths(before.spec, after.spec, ['spec']).some((path) => (effectOf(machineAbout(), path) ?? 'restart') !== 'live')
}

type Path = readonly (string | number)[]

function editedPaths(before: unknown, after: unknown, path: Path): readonly Path[] {
  if (canonicalJson(before ?? null) === canonicalJson(after ?? null)) return []
  if (!isComposite(before) || !isComposite(after)) return [path]
  const keys = [...new Set([...Object.keys(before), ...Object.keys(after)])]
  const step = (key: string): string | number => (Array.isArray(before) ? Number(key) : key)
  return keys.flatMap((key) => editedPaths(before[key], after[key], [...path, step(key)]))
}

function isComposite(value: unknown): value is Readonly<Record<string, unknown>> {
  return value !== null && typeof value === 'object'
}
