import type { Swarm } from '../../ports/swarm.ts'
import { dockerodeDial } from './dial.ts'
import { engineOver } from './engine.ts'
import { swarmOver } from './swarm.ts'

/** The Swarm of a manager. `endpoint` is `unix:///var/run/docker.sock` or `tcp://host:port`. */
export function dockerSwarm(endpoint: string): Swarm {
  return swarmOver(engineOver(dockerodeDial(endpoint)))
}
