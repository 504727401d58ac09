import type { VmName } from '../../api/names.ts'
import type { Clock } from '../../ports/clock.ts'
import { messageOf, PortError } from '../../ports/errors.ts'
import type { Log } from '../../ports/log.ts'
import type { Collectable, ManifestSource, SourceSnapshot } from '../../ports/manifest-source.ts'
import type { ResolvedSnapshot } from '../../ports/resolve-classes.ts'
import type { Swarm } from '../../ports/swarm.ts'

export interface CollectPorts {
  readonly swarm: Pick<Swarm, 'removeConfig'>
  readonly clock: Clock
  readonly log: Log
  /** How long a superseded config stays: the time in which a person may want to see, or to go back to, what was. */
  readonly collectAfterMs: number
  /** Whether a VM's document in this config is valid, its class included, as it was last read. */
  readonly isValid: (file: string, vm: VmName) => boolean
}

/** What is superseded for long enough. Pure. Only a complete read says that something newer is certainly there. */
export function dueForCollection(
  snapshot: SourceSnapshot,
  { nowMs, collectAfterMs, isValid }: Pick<CollectPorts, 'collectAfterMs' | 'isValid'> & { readonly nowMs: number },
): readonly Collectable[] {
  if (!snapshot.complete) return []
  const old = (snapshot.collectable ?? []).filter((one) => nowMs - one.sinceMs >= collectAfterMs)
  return old.filter((one) => one.unproven.every(({ file, name }) => isValid(file, name)))
}

/** Whether a VM is valid in one file, its class included. */
export function holdsValid({ documents }: ResolvedSnapshot, file: string, vm: VmName): boolean {
  return documents.some((one) => one.ok && one.origin.file === file && one.vm.metadata.name === vm)
}

/** The same source; after each read, what `docker vm apply` made and nothing needs any more is removed (ADR 0014). */
export function collecting(source: ManifestSource, ports: CollectPorts): ManifestSource {
  const collect = collector(ports)
  return {
    watch: (onHint) => source.watch(onHint),
    async read(signal) {
      const snapshot = await source.read(signal)
      for (const one of dueForCollection(snapshot, { ...ports, nowMs: ports.clock.now() })) await collect(one, signal)
      return snapshot
    },
  }
}

/** By the id that was read: an id is never given twice, so what another controller removed meanwhile is done. A config in use stays; that is said once. */
function collector({ swarm, log }: CollectPorts): (one: Collectable, signal: AbortSignal | undefined) => Promise<void> {
  const said = new Map<string, string>()
  return async ({ id, name }, signal) => {
    try {
      await swarm.removeConfig(id, signal)
      log.info({ config: name }, 'Removed a superseded manifest')
    } catch (error) {
      if (signal?.aborted || !(error instanceof PortError)) throw error
      const reason = messageOf(error)
      if (error.kind === 'NotFound' || said.get(id) === reason) return
      said.set(id, reason)
      log.warn({ config: name, reason }, 'A superseded manifest could not be removed')
    }
  }
}
