import type { Clock } from '../../ports/clock.ts'

/** Long enough that a run of all reconcilers is one change, and too short for a person to see. */
const gatherMs = 50

/** Tells who listens which names moved: each name once in a while, however often it moved in it. */
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
