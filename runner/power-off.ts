import { responseTo } from '../src/api/qemu-run-states.ts'
import { type Clock, sleep } from '../src/ports/clock.ts'
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
  let tries = 0
  const isStuck = (): boolean => tries >= triesOnFullDisk
  for (let leftMs = timeoutMs; leftMs > 0 && !isStuck(); leftMs -= pressEveryMs) {
    // The deadline covers a QEMU that does not answer.
    void qemu.pressPowerButton().catch((error: Error) => ports.log.debug({ why: error.message }, 'The power button did not reach QEMU'))
    void continueOnFullDisk(qemu).then(
      (isPaused) => (tries = isPaused ? tries + 1 : 0),
      (error: Error) => ports.log.debug({ why: error.message }, 'Cannot resume the guest'),
    )
    const isOver = await sleep(ports.clock, Math.min(pressEveryMs, leftMs), over.signal).then(
      () => false,
      () => true,
    )
    if (isOver) return 'off'
  }
  if (isStuck()) ports.log.warn({}, 'The disk is still full, so the guest cannot power off; killing it')
  else ports.log.warn({ timeoutMs }, 'The guest did not power off in time; killing it')
  await qemu.quit()
  return 'forced'
}

/** True if a full disk had paused the guest. Without free space QEMU pauses it again, and the write stays pending. */
async function continueOnFullDisk(qemu: Pick<Qemu, 'status' | 'run'>): Promise<boolean> {
  if (responseTo(await qemu.status()) !== 'continueWithRoom') return false
  await qemu.run()
  return true
}
