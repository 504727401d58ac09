import { link, lstat, open, readFile, rename, rm, statfs, writeFile } from 'node:fs/promises'
import { dirname } from 'node:path'
import type { RunnerFiles } from '../../ports/runner-files.ts'

export const runnerFiles: RunnerFiles = {
  readText: (path) => readFile(path, 'utf8'),
  async replaceText(path, text) {
    // Flushed before the rename: after a power loss there is the old file or the new one, never an empty one.
    await writeFile(`${path}.new`, text, { mode: 0o640, flush: true })
    await rename(`${path}.new`, path)
    await syncDirectory(dirname(path))
  },
  async copyOnce(from, to) {
    const fresh = `${to}.new`
    await writeFile(fresh, await readFile(from), { mode: 0o640, flush: true })
    await link(fresh, to).catch((error: NodeJS.ErrnoException) => {
      if (error.code !== 'EEXIST') throw error
    })
    await rm(fresh)
    await syncDirectory(dirname(to))
  },
  async inode(path) {
    try {
      return (await lstat(path)).ino
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined
      throw error
    }
  },
  async freeBytes(path) {
    const { bavail, bsize } = await statfs(path)
    return bavail * bsize
  },
}

async function syncDirectory(path: string): Promise<void> {
  const handle = await open(path)
  try {
    await handle.sync()
  } finally {
    await handle.close()
  }
}
