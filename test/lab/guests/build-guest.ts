import { createHash } from 'node:crypto'
import { createReadStream } from 'node:fs'
import { access, mkdir, mkdtemp, readdir, readFile, rename, rm, writeFile } from 'node:fs/promises'
import { homedir } from 'node:os'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { buildDebian } from './debian.ts'
import { ensureGuestPackages } from './packages.ts'
import { buildTiny } from './tiny.ts'
import { buildTinyUefi } from './tiny-uefi.ts'

export type GuestName = 'tiny' | 'debian' | 'tiny-uefi'
export type Guest = { path: string; sha256: string }

const HERE = import.meta.dirname
const SUITE = 'trixie'
type DiskName = Exclude<GuestName, 'tiny-uefi'>
const BUILDERS: Readonly<Record<DiskName, typeof buildTiny>> = { tiny: buildTiny, debian: buildDebian }

/**
 * The qcow2 of a guest, from the cache or built now. The cache's key is the recipe: the guest's files, the code that puts
 * them together and the Debian suite. Needs root, loop devices and a Debian mirror when it builds, and nothing when it does not.
 */
export async function buildGuest(name: GuestName): Promise<Guest> {
  const cache = join(cacheRoot(), 'guests')
  const directory = join(cache, `${name}-${await recipeHash(name)}`)
  const path = join(directory, `${name}.qcow2`)
  if (!(await exists(path))) {
    await ensureGuestPackages()
    await mkdir(cache, { recursive: true })
    const work = await mkdtemp(join(cache, '.build-'))
    try {
      const done = join(work, 'done')
      await mkdir(done)
      if (name === 'tiny-uefi') await buildTinyUefi(join(HERE, 'tiny'), join(HERE, name), SUITE, work, done)
      else await BUILDERS[name](join(HERE, name), SUITE, work, join(done, `${name}.qcow2`))
      await writeFile(join(done, 'sha256'), await sha256Of(join(done, `${name}.qcow2`)))
      await publish(done, directory)
    } finally {
      await rm(work, { recursive: true, force: true })
    }
  }
  return { path, sha256: await readFile(join(directory, 'sha256'), 'utf8') }
}

/** Two builds at once are harmless: the first to arrive is kept. */
async function publish(done: string, directory: string): Promise<void> {
  try {
    await rename(done, directory)
  } catch (error) {
    if (!(await exists(join(directory, 'sha256')))) throw error
  }
}

function cacheRoot(): string {
  const env = process.env
  return env['SWARMVIRT_CACHE'] ?? join(env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'swarmvirt')
}

async function recipeHash(name: GuestName): Promise<string> {
  const parts = name === 'tiny-uefi' ? ['tiny', name] : [name]
  const own = await Promise.all(parts.map((part) => readdir(join(HERE, part), { recursive: true, withFileTypes: true })))
  const files = own.flat().flatMap((entry) => (entry.isFile() ? join(entry.parentPath, entry.name) : []))
  files.push(...parts.map((part) => join(HERE, `${part}.ts`)), join(HERE, 'disk-image.ts'))
  const hash = createHash('sha256').update(SUITE)
  for (const file of files.sort()) hash.update(`\0${file.slice(HERE.length)}\0`).update(await readFile(file))
  return hash.digest('hex').slice(0, 16)
}

async function sha256Of(path: string): Promise<string> {
  const hash = createHash('sha256')
  await pipeline(createReadStream(path), hash)
  return hash.digest('hex')
}

async function exists(path: string): Promise<boolean> {
  return access(path).then(
    () => true,
    () => false,
  )
}
