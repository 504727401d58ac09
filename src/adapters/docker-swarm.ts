import type { Swarm } from '../ports/swarm.ts'
import { dockerodeDial } from './docker/dial.ts'
import { engineOver } from './docker/engine.ts'
import { swarmOver } from './docker/swarm.ts'

/** The Swarm of a manager. `endpoint` is `unix:///var/run/docker.sock` or `tcp://host:port`. */
export function dockerSwarm(endpoint: string): Swarm {
  return swarmOver(engineOver(dockerodeDial(endpoint)))
}
