import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { asListed, type VmView } from '../../api/wire/controller-api.ts'
import type { StatusView } from '../../ports/status-view.ts'

export interface WatchLimits {
  /** At once: each costs a connection and a look at what changes. */
  readonly watchers: number
  /** Often enough for what stands between, which commonly forgets an idle connection after a minute. */
  readonly heartbeatMs: number
  /** How long what was written may wait for its reader. */
  readonly stalledMs: number
}

export const watchLimits: WatchLimits = { watchers: 32, heartbeatMs: 15_000, stalledMs: 30_000 }

type WatchedView = Pick<StatusView, 'vms' | 'vm' | 'onChange'>

export interface VmWatches {
  /** Sends server-sent events until the connection ends; false, and nothing sent, where there are too many. */
  open(response: ServerResponse): boolean
}

/** Tells every watcher what moved: looked at once for all, and told to nobody where nothing of the view is another. */
export function vmWatches(whole: WatchedView, limits: WatchLimits): VmWatches {
  const view: WatchedView = {
    vms: () => whole.vms(),
    vm: (name) => listed(whole.vm(name)),
    onChange: (listener) => whole.onChange(listener),
  }
  const watchers = new Set<Watcher>()
  const told = new Map<string, string>()
  let stopListening = (): void => undefined

  function onChange(name: string): void {
    const vm = view.vm(name)
    const now = vm === undefined ? undefined : digest(vm)
    if (told.get(name) === now) return
    if (now === undefined) told.delete(name)
    else told.set(name, now)
    for (const watcher of watchers) watcher.mark(name)
  }

  function begin(): void {
    for (const vm of view.vms()) told.set(vm.name, digest(vm))
    stopListening = view.onChange(onChange)
  }

  function end(watcher: Watcher): void {
    watchers.delete(watcher)
    if (watchers.size > 0) return
    stopListening()
    told.clear()
  }

  return {
    open(response) {
      if (watchers.size >= limits.watchers) return false
      if (watchers.size === 0) begin()
      const watcher = watch(view, response, limits)
      watchers.add(watcher)
      response.once('close', () => end(watcher))
      return true
    },
  }
}

function listed(vm: VmView | undefined): VmView | undefined {
  return vm && asListed(vm)
}

function digest(value: unknown): string {
  return createHash('sha256').update(JSON.stringify(value)).digest('base64')
}

interface Watcher {
  mark(name: string): void
}

/**
 * One reader. Only names wait for it, never texts: a slow one skips what was between and holds no memory, and one that takes nothing is cut.
 */
function watch(view: WatchedView, response: ServerResponse, limits: WatchLimits): Watcher {
  const pending = new Set(view.vms().map((vm) => vm.name))
  /** How many of the pending, which keep their order, belong to the first list; `synced` is sent when it comes to 0. */
  let toSync = pending.size
  let isSynced = false
  let stalled: NodeJS.Timeout | undefined

  function send(text: string): void {
    if (response.write(text)) return
    stalled = setTimeout(() => response.destroy(), limits.stalledMs)
  }

  function pump(): void {
    while (stalled === undefined && !response.destroyed) {
      if (toSync === 0 && !isSynced) {
        isSynced = true
        send(eventText('synced', {}))
        continue
      }
      const [name] = pending
      if (name === undefined) return
      pending.delete(name)
      if (toSync > 0) toSync -= 1
      const vm = view.vm(name)
      send(vm === undefined ? eventText('gone', { name }) : eventText('vm', vm))
    }
  }

  const heartbeat = setInterval(() => {
    if (stalled === undefined) send(': alive\n\n')
  }, limits.heartbeatMs)
  response.on('drain', () => {
    clearTimeout(stalled)
    stalled = undefined
    pump()
  })
  response.once('close', () => {
    clearInterval(heartbeat)
    clearTimeout(stalled)
  })
  // A write to a connection that was just cut; `close` follows.
  response.on('error', () => undefined)
  // Idle is what a watch mostly is; who takes nothing is found by `stalledMs`.
  response.socket?.setTimeout(0)
  response.writeHead(200, { 'content-type': 'text/event-stream', 'cache-control': 'no-store' })
  response.flushHeaders()
  pump()
  return {
    mark(name) {
      pending.add(name)
      pump()
    },
  }
}

/** JSON has no line ends, which an event's data must not have either. */
function eventText(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}
