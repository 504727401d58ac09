import { readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'
import { deploy } from '../lab/deployment.ts'
import { labUp } from '../lab/lab.ts'
import { say } from '../lab/run.ts'
import { e2eLab } from './support.ts'

/** One lab with swarmvirt on it for every e2e file; each file uses VM names of its own and removes them. */
export default async function setup(): Promise<() => Promise<void>> {
  const lab = await labUp(e2eLab, { fresh: true })
  // A run that was killed leaves the manifests of its VMs, and copies of a controller and its secrets.
  const { dir } = lab.node('n1')
  for (const name of readdirSync(dir).filter((one) => one === 'manifests' || one.startsWith('lone-'))) {
    rmSync(join(dir, name), { recursive: true })
  }
  await deploy(lab, lab.images, say)
  return () => lab.down()
}
