import { aLife } from './life.ts'
import { type Agent, SimulatedNode } from './simulated-node.ts'

export const endings = ['kill', 'power loss'] as const
type Ending = (typeof endings)[number]

/** Something that the agent does in more than one step. */
export interface Operation {
  readonly name: string
  /** Brings a new node to where the operation begins. */
  readonly given: (node: SimulatedNode) => Promise<void>
  /** The operation that an agent runs. If that agent is killed, the next one runs it again. */
  readonly run: (agent: Agent, node: SimulatedNode) => Promise<unknown>
  /** The last operation, of an agent that is not killed: the same one, or another that an operator now requests. */
  readonly thenRun?: (agent: Agent, node: SimulatedNode) => Promise<unknown>
  /** Throws where something is lost, at whatever point the agent was killed. */
  readonly mustHold: (node: SimulatedNode) => void
  /** Throws where it did not end as it should. */
  readonly mustEnd: (node: SimulatedNode) => void
}

/** How often it was killed, and at how many different points. */
export interface Sweep {
  readonly runs: number
  readonly firstCrashes: number
}

/**
 * Runs an operation with its agent killed at every step, the next agent killed at every `every`-th step of its work, and a third one that
 * survives. The second kill begins at another step each time, so that a sample covers every step of the recovery. The crash points are
 * found by running, so a new step adds crash points automatically.
 */
export async function sweepCrashes(operation: Operation, ending: Ending, every = 1): Promise<Sweep> {
  const begin = new SimulatedNode()
  await operation.given(begin)
  let runs = 0
  for (let first = 0; ; first += 1) {
    for (let second = first % every; ; second += every) {
      const crashes = await runWith(operation, ending, begin.copy(), [first, second])
      runs += 1
      if (crashes === 0) return { runs, firstCrashes: first }
      if (crashes === 1) break
    }
  }
}

async function runWith(operation: Operation, ending: Ending, node: SimulatedNode, stepsLeft: readonly number[]): Promise<number> {
  let crashes = 0
  const context = (): string => `${operation.name}: ${ending} after ${stepsLeft.slice(0, crashes).join(', then ')} steps`
  try {
    for (const steps of stepsLeft) {
      if (!(await isKilled(operation, node, steps))) break
      crashes += 1
      if (ending === 'kill') node.disk.settle()
      else node.losePower()
      operation.mustHold(node)
    }
    const agent = await node.boot()
    await (operation.thenRun ?? operation.run)(agent, node)
    agent.stop()
    operation.mustHold(node)
    operation.mustEnd(node)
  } catch (error) {
    throw new Error(`${context()}: ${(error as Error).message}\n${[...node.disk.names.keys()].join('\n')}`, { cause: error })
  }
  return crashes
}

/** The answers of a killed agent are lost. */
async function isKilled(operation: Operation, node: SimulatedNode, steps: number): Promise<boolean> {
  const life = aLife(steps)
  try {
    const agent = await node.boot(life)
    await operation.run(agent, node)
    agent.stop()
  } catch (error) {
    if (!life.isOver) throw error
  }
  return life.isOver
}
