import { lstat, readFile, rename, statfs, writeFile } from 'node:fs/promises'
import type { RunnerFiles } from '../../ports/runner-files.ts'

export const runnerFiles: RunnerFiles = {
  readText: (path) => readFile(path, 'utf8'),
  async replaceText(path, text) {
    await writeFile(`${path}.new`, text, { mode: 0o640 })
    await rename(`${path}.new`, path)
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
