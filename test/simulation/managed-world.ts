import type { SwarmNode, SwarmService, SwarmTask } from '../../src/ports/swarm.ts'

/** In bytes and billionths of a CPU. */
export interface Resources {
  readonly memory: number
  readonly cpu: number
}

export type SimulatedTask = { -readonly [K in keyof SwarmTask]: SwarmTask[K] } & {
  /** Its service when it was created. */
  readonly template: string
  readonly constraints: string
  /** Nothing where it is absent. */
  readonly reserved?: Resources
}

export interface ManagedWorld {
  readonly nodes: ReadonlyMap<string, SwarmNode>
  readonly tasks: Map<string, SimulatedTask>
  /** Reservations of removed services whose containers still exist: no list contains them. */
  readonly leaving: ReadonlyMap<string, SimulatedTask>
  /** Containers are facts of their own: a task that is asked to end reads `running` until somebody says that its container is gone. */
  readonly tasksTakeTime: boolean
  readonly newId: () => string
  /** A node was found for the task: something will run. */
  readonly onPlaced: (task: SimulatedTask) => void
  /** RFC 3339. */
  readonly now: string
}

export function tasksOf({ tasks }: ManagedWorld, service: SwarmService): SimulatedTask[] {
  return [...tasks.values()].filter((one) => one.serviceId === service.id)
}

export function wantedTasks(world: ManagedWorld, service: SwarmService): SimulatedTask[] {
  return tasksOf(world, service).filter(isWanted)
}

/** A successor is only `ready` until it is started. */
export function isWanted(task: SwarmTask): boolean {
  return task.desiredState === 'running' || task.desiredState === 'ready'
}
