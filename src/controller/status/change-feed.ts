import type { Clock } from '../../ports/clock.ts'

/** Long enough to merge one run of all reconcilers, and too short to notice. */
const gatherMs = 50

/** Notifies listeners of changed names, each at most once per 50 ms. */
export interface Changes {
  note(name: string): void
  listen(listener: (name: string) => void): () => void
}

export function changes(clock: Clock): Changes {
  const listeners = new Set<(name: string) => void>()
  const noted = new Set<string>()

  function tell(): void {
    const names = [...noted]
    noted.clear()
    for (const name of names) for (const listener of listeners) listener(name)
  }

  return {
    note(name) {
      if (listeners.size === 0) return
      if (noted.size === 0) clock.after(gatherMs, tell)
      noted.add(name)
    },
    listen(listener) {
      listeners.add(listener)
      return () => void listeners.delete(listener)
    },
  }
}
