import { type Clock, sleep } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { Qemu } from './qemu.ts'

/** A guest in its firmware or early in its boot hears no button, so it is pressed again. */
const pressEveryMs = 3_000

/** Presses the power button until the guest is off, and ends it by force after `timeoutMs`. Resolves when QEMU is gone. */
export async function powerOff(
  qemu: Pick<Qemu, 'pressPowerButton' | 'quit' | 'ended'>,
  timeoutMs: number,
  ports: { readonly clock: Clock; readonly log: Log },
): Promise<'off' | 'forced'> {
  const over = new AbortController()
  void qemu.ended.then(() => over.abort(new Error('QEMU has ended')))
  for (let leftMs = timeoutMs; leftMs > 0; leftMs -= pressEveryMs) {
    // A QEMU that does not answer is dealt with at the deadline.
    void qemu.pressPowerButton().catch((error: Error) => ports.log.debug({ why: error.message }, 'The power button did not reach QEMU'))
    const isOver = await sleep(ports.clock, Math.min(pressEveryMs, leftMs), over.signal).then(
      () => false,
      () => true,
    )
    if (isOver) return 'off'
  }
  ports.log.warn({ timeoutMs }, 'The guest did not power off in time; ending it')
  await qemu.quit()
  return 'forced'
}
