import { type FileHandle, open, rename, stat } from 'node:fs/promises'

const rotateAtBytes = 1024 * 1024
/** Buffer for a slow or full disk. Output beyond it is dropped, so that the guest never waits for its log. */
const longestBacklogBytes = 256 * 1024

export interface SerialLog {
  append(line: string): void
  /** Resolves when all appended output has been written or dropped. */
  settled(): Promise<void>
}

/** Keeps the last one to two MiB of serial output, in `path` and `path.1`. A write error is reported once and never stops a VM. */
export function serialLog(path: string, onProblem: (error: Error) => void): SerialLog {
  let backlog = ''
  let writing: Promise<void> = Promise.resolve()
  let busy = false
  let broken = false

  const drain = async (): Promise<void> => {
    try {
      while (backlog !== '') {
        const text = backlog
        backlog = ''
        await appendRotating(path, text)
      }
    } catch (error) {
      if (!broken) onProblem(error as Error)
      broken = true
      backlog = ''
    } finally {
      busy = false
    }
  }
  return {
    append(line) {
      if (backlog.length > longestBacklogBytes) return
      backlog += `${line}\n`
      if (busy) return
      busy = true
      writing = drain()
    },
    settled: () => writing,
  }
}

async function appendRotating(path: string, text: string): Promise<void> {
  const file = await openLog(path)
  try {
    await file.appendFile(text)
    if ((await file.stat()).size < rotateAtBytes) return
  } finally {
    await file.close()
  }
  await rename(path, `${path}.1`)
}

/** Readable by the group under any umask, so that the agent can show it. */
async function openLog(path: string): Promise<FileHandle> {
  const isNew = await stat(path).then(
    () => false,
    () => true,
  )
  const file = await open(path, 'a', 0o640)
  if (isNew) await file.chmod(0o640)
  return file
}
