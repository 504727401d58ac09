import { e2eLab } from '../e2e/support.ts'
import { ensureGuestPackages } from '../lab/guests/packages.ts'
import { labUp } from '../lab/lab.ts'

/** QEMU and its tools for the programs that are tried by themselves, and a real Swarm for the Docker adapter. */
export default async function setup(): Promise<() => Promise<void>> {
  await ensureGuestPackages()
  const lab = await labUp(e2eLab, { fresh: true })
  return () => lab.down()
}
