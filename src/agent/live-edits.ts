import { hashOf } from '../api/hash.ts'
import type { Layout } from '../api/layout.ts'
import type { VmUid } from '../api/names.ts'
import { PortError } from '../ports/errors.ts'
import type { Log } from '../ports/log.ts'
import type { Runners } from '../ports/runners.ts'
import type { StateFiles } from '../ports/state-files.ts'
import { grownDisks } from './grown-disks.ts'

const maxFileBytes = 16 * 1024

export interface LiveEditsOptions {
  readonly layout: Layout
  readonly files: Pick<StateFiles, 'readText' | 'readStart'>
  readonly runners: Pick<Runners, 'applyLive'>
  readonly log: Log
}

export interface LiveEdits {
  /** Has the VM's runner bring QEMU to what is kept for it. Says what the guest does not have of it; empty if it has all. Throws StateError. */
  apply(uid: VmUid): Promise<string>
}

/**
 * Asks a runner once for each change, and again until it has answered without a problem. A runner that starts later reads the files itself. It is
 * asked all the same, because only its answer tells what QEMU refused.
 */
export function liveEdits(options: LiveEditsOptions): LiveEdits {
  const { layout, files, runners, log } = options
  const applied = new Map<VmUid, string>()
  return {
    async apply(uid) {
      const part = await files.readText(layout.livePartFile(uid), maxFileBytes)
      const grown = await grownDisks(options, uid)
      const mark = hashOf([part ?? null, grown])
      if ((part === undefined && grown.length === 0) || applied.get(uid) === mark) return ''
      const message = await ask(runners, uid)
      if (message === undefined) return ''
      if (message === '') applied.set(uid, mark)
      else applied.delete(uid)
      log.info({ uid, why: message }, 'Applied a live edit')
      return message
    },
  }
}

/** Undefined without a runner. */
async function ask(runners: Pick<Runners, 'applyLive'>, uid: VmUid): Promise<string | undefined> {
  try {
    const problems = await runners.applyLive(uid)
    if (problems === 'unsupported') return 'its runner is of an earlier release and takes no live edit: they apply at the next restart'
    return problems.join('; ').slice(0, 2000)
  } catch (error) {
    if (!(error instanceof PortError)) throw error
    return error.kind === 'NotFound' ? undefined : `its runner has not answered: ${error.message}`.slice(0, 2000)
  }
}
