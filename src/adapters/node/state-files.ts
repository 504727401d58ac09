import { isUtf8 } from 'node:buffer'
import { randomBytes } from 'node:crypto'
import { constants, type Stats } from 'node:fs'
import { type FileHandle, link, lstat, mkdir, open, opendir, readdir, rename, rmdir, statfs, unlink } from 'node:fs/promises'
import { dirname } from 'node:path'
import { type FileFact, StateError, type StateFiles } from '../../ports/state-files.ts'

/** A state root on a local file system with hard links and fsync. */
export function stateFiles(): StateFiles {
  return {
    stat: (path) => orAbsent(path, async () => factOf(await lstat(path))),
    list: (path, maxNames) => orAbsent(path, async () => (await namesIn(path, maxNames)).sort()),
    readText: (path, maxBytes) => orAbsent(path, () => withFile(path, (file) => textOf(file, path, maxBytes))),
    readStart: (path, bytes) => orAbsent(path, () => withFile(path, (file) => startOf(file, bytes))),
    writeAtomically: (path, text, mode) => guarded(path, () => replaceWith(path, text, mode)),
    makeDirectory: (path, mode) => guarded(path, () => ensureDirectory(path, mode)),
    publish: (from, path, mode) => guarded(path, () => publish(from, path, mode)),
    seal: (path, mode) => guarded(path, () => sealDurably(path, mode)),
    replace: (from, path) => guarded(path, () => replace(from, path)),
    link: (from, path) => guarded(path, () => ensureLink(from, path)),
    remove: async (path) => {
      await orAbsent(path, () => removeDurably(path))
    },
    removeEmptyDirectory: async (path) => {
      await orAbsent(path, () => unlessFilled(removeDirectory(path)))
    },
    space: (path) => guarded(path, () => spaceOf(path)),
  }
}

function factOf(stats: Stats): FileFact {
  return {
    kind: stats.isFile() ? 'file' : stats.isDirectory() ? 'directory' : stats.isSocket() ? 'socket' : 'other',
    sizeBytes: stats.size,
    // st_blocks counts 512-byte units on every file system (stat(2)).
    allocatedBytes: stats.blocks * 512,
    modifiedMs: stats.mtimeMs,
    version: `${stats.dev}:${stats.ino}:${stats.size}:${stats.mtimeMs}`,
  }
}

async function namesIn(path: string, maxNames: number | undefined): Promise<string[]> {
  if (maxNames === undefined) return await readdir(path)
  const names: string[] = []
  for await (const { name } of await opendir(path)) {
    if (names.length === maxNames) break
    names.push(name)
  }
  return names
}

/** O_NONBLOCK, so that a FIFO in place of the file does not block the open. */
async function withFile<Value>(path: string, use: (file: FileHandle) => Promise<Value>): Promise<Value> {
  const file = await open(path, constants.O_RDONLY | constants.O_NOFOLLOW | constants.O_NONBLOCK)
  try {
    if (!(await file.stat()).isFile()) throw new Error('it is not a regular file')
    return await use(file)
  } finally {
    await file.close()
  }
}

async function startOf(file: FileHandle, bytes: number): Promise<Uint8Array> {
  const buffer = Buffer.alloc(bytes)
  let length = 0
  while (length < bytes) {
    const { bytesRead } = await file.read(buffer, length, bytes - length, length)
    if (bytesRead === 0) break
    length += bytesRead
  }
  return buffer.subarray(0, length)
}

async function textOf(file: FileHandle, path: string, maxBytes: number): Promise<string> {
  const bytes = await startOf(file, maxBytes + 1)
  if (bytes.length > maxBytes) throw new StateError('Content', `${path} is longer than ${maxBytes} bytes`)
  if (!isUtf8(bytes)) throw new StateError('Content', `${path} is not UTF-8`)
  return new TextDecoder().decode(bytes)
}

async function replaceWith(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.tmp-${randomBytes(6).toString('hex')}`
  const file = await open(temporary, 'wx', mode)
  try {
    try {
      await file.writeFile(text)
      // The umask applies to open(), so a required mode is set explicitly.
      await file.chmod(mode)
      await file.sync()
    } finally {
      await file.close()
    }
    await rename(temporary, path)
  } catch (error) {
    // Avoids leftovers of retries on a full disk. The original error is reported, not an error of this cleanup.
    await unlink(temporary).catch(() => undefined)
    throw error
  }
  await syncPath(dirname(path))
}

async function syncPath(path: string): Promise<void> {
  const handle = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}

/** Only its owner can enter a new directory until its mode is set, since the umask keeps the group's permissions. */
async function ensureDirectory(path: string, mode: number): Promise<void> {
  const made = await mkdir(path, { mode: 0o700 }).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
      return false
    },
  )
  await ensureMode(path, mode)
  if (made) await syncPath(dirname(path))
}

/** By descriptor, since chmod() of a path would follow a symlink. */
async function ensureMode(path: string, mode: number): Promise<void> {
  const directory = await open(path, constants.O_RDONLY | constants.O_DIRECTORY | constants.O_NOFOLLOW)
  try {
    if (((await directory.stat()).mode & 0o7777) !== mode) await directory.chmod(mode)
  } finally {
    await directory.close()
  }
}

/** Uses link() and unlink(), since rename() would silently replace an existing file, and a disk must never be replaced. */
async function publish(from: string, path: string, mode: number): Promise<'published' | 'exists'> {
  await seal(from, mode)
  const outcome = await link(from, path).then(
    () => 'published' as const,
    (error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
      return 'exists' as const
    },
  )
  await syncPath(dirname(path))
  await unlink(from)
  return outcome
}

/** Syncs the content before the name appears on disk. */
async function seal(path: string, mode: number): Promise<void> {
  await withFile(path, async (file) => {
    await file.chmod(mode)
    await file.sync()
  })
}

/** Some file systems only write a directory's names when the directory is synced. */
async function sealDurably(path: string, mode: number): Promise<void> {
  await seal(path, mode)
  await syncPath(dirname(path))
}

async function replace(from: string, path: string): Promise<void> {
  await rename(from, path)
  await syncPath(dirname(path))
}

async function removeDirectory(path: string): Promise<void> {
  await rmdir(path)
  await syncPath(dirname(path))
}

async function removeDurably(path: string): Promise<void> {
  await unlink(path)
  await syncPath(dirname(path))
}

async function ensureLink(from: string, path: string): Promise<void> {
  await link(from, path).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'EEXIST') throw error
  })
  await syncPath(dirname(path))
}

async function unlessFilled(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if (!['ENOTEMPTY', 'EEXIST'].includes((error as NodeJS.ErrnoException).code ?? '')) throw error
  }
}

async function spaceOf(path: string): Promise<{ totalBytes: number; freeBytes: number }> {
  const facts = await statfs(path)
  // bavail instead of bfree, which includes blocks reserved for root.
  return { totalBytes: facts.blocks * facts.bsize, freeBytes: facts.bavail * facts.bsize }
}

async function guarded<Value>(path: string, run: () => Promise<Value>): Promise<Value> {
  try {
    return await run()
  } catch (cause) {
    throw asStateError(path, cause)
  }
}

async function orAbsent<Value>(path: string, run: () => Promise<Value>): Promise<Value | undefined> {
  try {
    return await run()
  } catch (cause) {
    if ((cause as NodeJS.ErrnoException).code === 'ENOENT') return undefined
    throw asStateError(path, cause)
  }
}

function asStateError(path: string, cause: unknown): StateError {
  if (cause instanceof StateError) return cause
  const { code, message } = cause as NodeJS.ErrnoException
  if (code === 'ENOSPC' || code === 'EDQUOT') return new StateError('NoSpace', `no space is left for ${path}`, { cause })
  if (code === 'ELOOP') return new StateError('Io', `${path} is a symbolic link, which is not followed`, { cause })
  return new StateError('Io', message.includes(path) ? message : `${path}: ${message}`, { cause })
}
