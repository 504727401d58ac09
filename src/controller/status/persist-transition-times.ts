import type { Clock } from '../../ports/clock.ts'
import { sleep } from '../../api/time.ts'
import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Log } from '../../ports/log.ts'
import type { Swarm } from '../../ports/swarm.ts'
import { unlessGone } from '../../reconcilers/shared/answers.ts'
import type { StatusStore } from './store.ts'
import { isTimesConfig, parseTimes, renderTimes, type Times, timesHash, timesLabel } from './transition-times-config.ts'

/** Docker kills a controller 10 s after SIGTERM. */
const writeTimeoutMs = 4_000
const retryMs = 2_000

export interface TransitionTimesPorts {
  readonly swarm: Pick<Swarm, 'listConfigs' | 'createConfig' | 'removeConfig'>
  readonly clock: Clock
  readonly log: Log
  readonly cluster: string
  readonly status: Pick<StatusStore, 'times' | 'remember'>
}

/**
 * Reads the transition times that the previous controller wrote, and writes them for the next one at shutdown only, so that an idle Swarm
 * gets no writes. No decision depends on them. Resolves after the write. If they could not be read, they are not overwritten.
 */
export async function persistTransitionTimes(ports: TransitionTimesPorts, signal: AbortSignal): Promise<void> {
  const { clock, log } = ports
  let written = ''

  async function read(): Promise<boolean> {
    try {
      const found = (await ports.swarm.listConfigs(timesLabel, signal)).filter((one) => isTimesConfig(one, ports.cluster))
      const times = parseTimes(found.map(({ data }) => data))
      written = timesHash(times)
      ports.status.remember(times)
      return true
    } catch (error) {
      log.debug({ reason: messageOf(error) }, 'Cannot read the transition times')
      return false
    }
  }

  async function write(limit: AbortSignal): Promise<void> {
    const times = ports.status.times()
    if (timesHash(times) === written) return
    try {
      await replaceConfigs(ports, times, limit)
      written = timesHash(times)
    } catch (error) {
      log.info({ reason: messageOf(error) }, 'Cannot write the transition times')
    }
  }

  let isRead = await read()
  for (; !isRead && !signal.aborted; isRead = await read()) await pause(clock, retryMs, signal)
  await aborted(signal)
  if (!isRead) return
  await within(clock, writeTimeoutMs, write)
}

async function replaceConfigs({ swarm, clock, cluster }: TransitionTimesPorts, times: Times, signal: AbortSignal): Promise<void> {
  const before = (await swarm.listConfigs(timesLabel, signal)).filter((one) => isTimesConfig(one, cluster))
  const configs = renderTimes(times, cluster, clock.now())
  for (const { name, labels, data } of configs) await swarm.createConfig(name, labels, data, signal)
  // Remove the old configs last, so that a complete set always exists. Two controllers may remove the same one.
  for (const { id } of before) await unlessGone(swarm.removeConfig(id, signal))
}

async function within(clock: Clock, ms: number, work: (limit: AbortSignal) => Promise<void>): Promise<void> {
  const late = new AbortController()
  const cancel = clock.after(ms, () => late.abort(new PortError('Unavailable', `no answer within ${ms} ms`)))
  await work(late.signal)
  cancel()
}

/** Ends early with the signal. */
async function pause(clock: Clock, ms: number, signal: AbortSignal): Promise<void> {
  await sleep(clock, ms, signal).catch((error: unknown) => {
    if (!signal.aborted) throw error
  })
}

function aborted(signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    if (signal.aborted) resolve()
    else signal.addEventListener('abort', () => resolve(), { once: true })
  })
}
