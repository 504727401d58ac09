import type { Clock } from '../../ports/clock.ts'
import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { ManifestSource } from '../../ports/manifest-source.ts'
import type { Collectable, SourceSnapshot } from '../../api/manifest/source-documents.ts'
import type { ResolvedSnapshot } from '../../api/manifest/resolve-classes.ts'
import type { Swarm } from '../../ports/swarm.ts'

export interface CollectPorts {
  readonly swarm: Pick<Swarm, 'removeConfig'>
  readonly clock: Clock
  readonly log: Log
  /** How long a superseded config is kept, so that a user can inspect it or go back to it. */
  readonly collectAfterMs: number
  /** Whether a VM's document in this config was valid in the last read, including its class. */
  readonly isValid: (file: string, vm: string) => boolean
}

/** Configs that have been superseded for long enough. Pure. Only a complete read proves that a newer one exists. */
export function dueForCollection(
  snapshot: SourceSnapshot,
  { nowMs, collectAfterMs, isValid }: Pick<CollectPorts, 'collectAfterMs' | 'isValid'> & { readonly nowMs: number },
): readonly Collectable[] {
  if (!snapshot.complete) return []
  const old = (snapshot.collectable ?? []).filter((one) => nowMs - one.sinceMs >= collectAfterMs)
  return old.filter((one) => one.unproven.every(({ file, name }) => isValid(file, name)))
}

/** Whether a VM is valid in one file, including its class. */
export function holdsValid({ documents }: ResolvedSnapshot, file: string, vm: string): boolean {
  return documents.some((one) => one.ok && one.origin.file === file && one.vm.metadata.name === vm)
}

/** Wraps a source: after each read it removes the superseded configs of `docker vm apply` (ADR 0014). */
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

/** Removes by id, which is never reused; NotFound means that another controller was faster. A config in use stays, and is logged once. */
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
      log.warn({ config: name, reason }, 'Cannot remove a superseded manifest')
    }
  }
}
