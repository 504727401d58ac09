import { createHash } from 'node:crypto'
import type { ServerResponse } from 'node:http'
import { asListed, type VmView } from '../../api/wire/controller-api.ts'
import type { StatusView } from '../../ports/status-view.ts'

export interface WatchLimits {
  /** Maximum number of watches. Each costs a connection and work for each change. */
  readonly watchers: number
  /** Keeps the connection open through proxies, which often drop idle ones after a minute. */
  readonly heartbeatMs: number
  /** How long written data may wait for its reader. */
  readonly stalledMs: number
}

export const watchLimits: WatchLimits = { watchers: 32, heartbeatMs: 15_000, stalledMs: 30_000 }

type WatchedView = Pick<StatusView, 'vms' | 'vm' | 'onChange'>

export interface VmWatches {
  /** Sends server-sent events until the connection ends. Returns false, and sends nothing, if too many are open. */
  open(response: ServerResponse): boolean
}

/** Sends changes to every watcher. A change is computed once for all, and skipped if the view is unchanged. */
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
 * One reader. Only VM names are queued, not their content: a slow reader skips intermediate states and uses no memory. A reader that stops reading is
 * disconnected.
 */
function watch(view: WatchedView, response: ServerResponse, limits: WatchLimits): Watcher {
  const pending = new Set(view.vms().map((vm) => vm.name))
  /** Number of names at the front of `pending` that belong to the initial list. `synced` is sent when it reaches 0. */
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
  // A write to a closed connection fails here, and `close` follows.
  response.on('error', () => undefined)
  // Watches are mostly idle. `stalledMs` finds a reader that stopped.
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

/** JSON on one line, since an event's data must not contain line breaks. */
function eventText(event: string, data: unknown): string {
  return `event: ${event}\ndata: ${JSON.stringify(data)}\n\n`
}
