import { responseTo } from '../src/api/qemu-run-states.ts'
import type { Clock } from '../src/ports/clock.ts'
import { sleep } from '../src/api/time.ts'
import type { Log } from '../src/ports/log.ts'
import type { Qemu } from './qemu.ts'

/** A guest in its firmware or early in its boot ignores the power button, so it is pressed again. */
const pressEveryMs = 3_000
/** A guest whose agent does not answer in this time, or in half of the grace period, gets the power button instead. */
const agentTimeoutMs = 2_000
/** A guest that is paused by a full disk ignores the button too. It is resumed this many times, which takes 12 s, and then killed. */
const triesOnFullDisk = 4

type PoweredOff = Pick<Qemu, 'pressPowerButton' | 'quit' | 'ended' | 'status' | 'run'> & {
  readonly agent: Pick<Qemu['agent'], 'shutDown'>
}

/** `guestAgent`: off after its agent was asked and before the power button was pressed. `powerButton`: off otherwise. */
export type PoweredOffBy = 'guestAgent' | 'powerButton' | 'forced'

/**
 * Asks the guest's agent to shut down, then presses the power button until the guest is off, and kills it after `timeoutMs`. A paused guest is
 * resumed, because it would ignore both. Resolves when QEMU has exited.
 */
export async function powerOff(
  qemu: PoweredOff,
  timeoutMs: number,
  ports: { readonly clock: Clock; readonly log: Log },
): Promise<PoweredOffBy> {
  const { clock, log } = ports
  const deadlineMs = clock.elapsed() + timeoutMs
  const leftMs = (): number => deadlineMs - clock.elapsed()
  const over = new AbortController()
  void qemu.ended.then(() => over.abort(new Error('QEMU has ended')))
  const resume = resumer(qemu)
  const isAsked = await askedAgent(qemu, Math.min(agentTimeoutMs, timeoutMs / 2), clock)
  if (isAsked) await sleep(clock, Math.min(pressEveryMs, Math.max(0, leftMs())), over.signal).catch(() => undefined)
  if (over.signal.aborted) return isAsked ? 'guestAgent' : 'powerButton'
  while (leftMs() > 0) {
    // The deadline covers a QEMU that does not answer.
    void qemu.pressPowerButton().catch((error: Error) => log.debug({ why: error.message }, 'The power button did not reach QEMU'))
    const stuck = new AbortController()
    void resume().then(
      (isPaused) => isPaused && stuck.abort(new Error('the disk is still full')),
      (error: Error) => log.debug({ why: error.message }, 'Cannot resume the guest'),
    )
    const wake = AbortSignal.any([over.signal, stuck.signal])
    await sleep(clock, Math.min(pressEveryMs, leftMs()), wake).catch(() => undefined)
    if (over.signal.aborted) return 'powerButton'
    if (stuck.signal.aborted) {
      log.warn({}, 'The disk is still full, so the guest cannot power off; killing it')
      await qemu.quit()
      return 'forced'
    }
  }
  log.warn({ timeoutMs }, 'The guest did not power off in time; killing it')
  await qemu.quit()
  return 'forced'
}

/** False if no agent answers in time. A paused guest's agent cannot, so the guest is resumed first. */
async function askedAgent(qemu: PoweredOff, timeoutMs: number, clock: Clock): Promise<boolean> {
  const given = new AbortController()
  const late = sleep(clock, timeoutMs, given.signal).then(
    () => false,
    () => false,
  )
  const asked = resumedIfPaused(qemu).then(() => qemu.agent.shutDown())
  const isAsked = await Promise.race([asked.catch(() => false), late])
  given.abort(new Error('the agent has answered'))
  return isAsked
}

async function resumedIfPaused(qemu: Pick<Qemu, 'status' | 'run'>): Promise<void> {
  if (responseTo(await qemu.status()) === 'continue') await qemu.run()
}

/**
 * Resumes a guest that is paused. True if a full disk pauses it again after the last try: only then, and not after the try itself, is it known that
 * there is no room. A guest that was paused in between and runs now powers off in order.
 */
function resumer(qemu: Pick<Qemu, 'status' | 'run'>): () => Promise<boolean> {
  let tries = 0
  return async () => {
    const response = responseTo(await qemu.status())
    if (response === 'continue') await qemu.run()
    if (response !== 'continueWithRoom') {
      tries = 0
      return false
    }
    if (tries >= triesOnFullDisk) return true
    tries += 1
    await qemu.run()
    return false
  }
}
