/** The cloud-init of Debian with the Python it needs, unpacked beside the other caches. Nothing of it is installed on this machine. */
import { existsSync, mkdirSync, renameSync, rmSync } from 'node:fs'
import { dirname, join } from 'node:path'
import { debianMirror } from './base-images.ts'
import { shortHash } from './cached-image.ts'
import { cacheDir } from './layout.ts'
import { withLock } from './lock.ts'
import { ensurePackages } from './packages.ts'
import { must, say } from './run.ts'

const suite = 'trixie'
const recipe = [
  'mmdebstrap',
  '--quiet',
  '--mode=root',
  // Unpacks what cloud-init depends on, and runs no maintainer script.
  '--variant=extract',
  '--format=directory',
  '--include=base-files,cloud-init',
]

/** The root directory of it. It appears under its name only when whole. */
async function ensureCloudInit(): Promise<string> {
  const tree = join(cacheDir(process.env), `cloud-init-${shortHash(suite, ...recipe)}`)
  return withLock('cloud-init', 900_000, async () => {
    if (existsSync(tree)) return tree
    await ensurePackages([{ file: '/usr/bin/mmdebstrap', pkg: 'mmdebstrap' }])
    const mirror = await debianMirror()
    say(`unpacking cloud-init from ${mirror} (half a minute, kept) …`)
    const scratch = `${tree}.making`
    rmSync(scratch, { recursive: true, force: true })
    mkdirSync(dirname(tree), { recursive: true })
    await must([...recipe, suite, scratch, mirror])
    renameSync(scratch, tree)
    return tree
  })
}

/** Runs a program in Python with that cloud-init. `-B` leaves the cache unchanged. */
export async function cloudInitPython(program: string, input: string): Promise<string> {
  return must(['chroot', await ensureCloudInit(), '/usr/bin/python3', '-B', '-c', program], { input, timeoutMs: 300_000 })
}
