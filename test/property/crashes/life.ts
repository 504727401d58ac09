/** Thrown by every port of an agent that was killed, so that nothing it still tries changes anything. */
class Killed extends Error {
  override readonly name = 'Killed'
}

/** One run of a program, which ends at one of its steps. */
export interface Life {
  /** Called before each change of the world. */
  step(): void
  /** Called before each read. */
  mustLive(): void
  readonly steps: number
  readonly isOver: boolean
}

/** `stepsLeft` changes are made, and the next one is not. */
export function aLife(stepsLeft = Number.POSITIVE_INFINITY): Life {
  let steps = 0
  let isOver = false
  const mustLive = (): void => {
    if (isOver) throw new Killed('killed')
  }
  return {
    get steps() {
      return steps
    },
    get isOver() {
      return isOver
    },
    mustLive,
    step() {
      mustLive()
      if (steps >= stepsLeft) isOver = true
      mustLive()
      steps += 1
    },
  }
}
