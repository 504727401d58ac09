import { responseTo } from '../src/api/qemu-run-states.ts'
import { type Clock, sleep } from '../src/ports/clock.ts'
import type { Log } from '../src/ports/log.ts'
import type { Qemu } from './qemu.ts'

/** A guest in its firmware or early in its boot hears no button, so it is pressed again. */
const pressEveryMs = 3_000
/** A guest that a full disk paused hears no button either. It is continued so often, which takes 12 s, and then ended. */
const triesOnFullDisk = 4

type PoweredOff = Pick<Qemu, 'pressPowerButton' | 'quit' | 'ended' | 'status' | 'run'>

/** Presses the power button until the guest is off, and ends it by force after `timeoutMs`. Resolves when QEMU is gone. */
export async function powerOff(
  qemu: PoweredOff,
  timeoutMs: number,
  ports: { readonly clock: Clock; readonly log: Log },
): Promise<'off' | 'forced'> {
  const over = new AbortController()
  void qemu.ended.then(() => over.abort(new Error('QEMU has ended')))
  let tries = 0
  const isStuck = (): boolean => tries >= triesOnFullDisk
  for (let leftMs = timeoutMs; leftMs > 0 && !isStuck(); leftMs -= pressEveryMs) {
    // A QEMU that does not answer is dealt with at the deadline.
    void qemu.pressPowerButton().catch((error: Error) => ports.log.debug({ why: error.message }, 'The power button did not reach QEMU'))
    void continueOnFullDisk(qemu).then(
      (isPaused) => (tries = isPaused ? tries + 1 : 0),
      (error: Error) => ports.log.debug({ why: error.message }, 'Cannot continue the guest'),
    )
    const isOver = await sleep(ports.clock, Math.min(pressEveryMs, leftMs), over.signal).then(
      () => false,
      () => true,
    )
    if (isOver) return 'off'
  }
  if (isStuck()) ports.log.warn({}, 'The disk stays full, so the guest cannot power off; ending it')
  else ports.log.warn({ timeoutMs }, 'The guest did not power off in time; ending it')
  await qemu.quit()
  return 'forced'
}

/** Whether a full disk had paused the guest. Without room QEMU pauses it again, and its write keeps waiting. */
async function continueOnFullDisk(qemu: Pick<Qemu, 'status' | 'run'>): Promise<boolean> {
  if (responseTo(await qemu.status()) !== 'continueWithRoom') return false
  await qemu.run()
  return true
}
