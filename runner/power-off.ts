import { responseTo } from '../src/api/qemu-run-states.ts'
import type { Clock } from '../src/ports/clock.ts'
import { sleep } from '../src/api/time.ts'
import type { Log } from '../src/ports/log.ts'
import type { Qemu } from './qemu.ts'

/** A guest in its firmware or early in its boot ignores the power button, so it is pressed again. */
const pressEveryMs = 3_000
/** A guest that is paused by a full disk ignores the button too. It is resumed this many times, which takes 12 s, and then killed. */
const triesOnFullDisk = 4

type PoweredOff = Pick<Qemu, 'pressPowerButton' | 'quit' | 'ended' | 'status' | 'run'>

/** Presses the power button until the guest is off, and kills it after `timeoutMs`. Resolves when QEMU has exited. */
export async function powerOff(
  qemu: PoweredOff,
  timeoutMs: number,
  ports: { readonly clock: Clock; readonly log: Log },
): Promise<'off' | 'forced'> {
  const over = new AbortController()
  void qemu.ended.then(() => over.abort(new Error('QEMU has ended')))
  const resume = resumer(qemu)
  for (let leftMs = timeoutMs; leftMs > 0; leftMs -= pressEveryMs) {
    // The deadline covers a QEMU that does not answer.
    void qemu.pressPowerButton().catch((error: Error) => ports.log.debug({ why: error.message }, 'The power button did not reach QEMU'))
    const stuck = new AbortController()
    void resume().then(
      (isPaused) => isPaused && stuck.abort(new Error('the disk is still full')),
      (error: Error) => ports.log.debug({ why: error.message }, 'Cannot resume the guest'),
    )
    const wake = AbortSignal.any([over.signal, stuck.signal])
    await sleep(ports.clock, Math.min(pressEveryMs, leftMs), wake).catch(() => undefined)
    if (over.signal.aborted) return 'off'
    if (stuck.signal.aborted) {
      ports.log.warn({}, 'The disk is still full, so the guest cannot power off; killing it')
      await qemu.quit()
      return 'forced'
    }
  }
  ports.log.warn({ timeoutMs }, 'The guest did not power off in time; killing it')
  await qemu.quit()
  return 'forced'
}

/**
 * Resumes a guest that a full disk paused. True if it is paused again after the last try: only then, and not after the try itself, is it known that
 * there is no room. A guest that was paused in between and runs now powers off in order.
 */
function resumer(qemu: Pick<Qemu, 'status' | 'run'>): () => Promise<boolean> {
  let tries = 0
  return async () => {
    if (responseTo(await qemu.status()) !== 'continueWithRoom') {
      tries = 0
      return false
    }
    if (tries >= triesOnFullDisk) return true
    tries += 1
    await qemu.run()
    return false
  }
}
