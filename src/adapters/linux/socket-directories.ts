import { chmod, mkdir, readdir, rmdir, unlink } from 'node:fs/promises'
import type { Layout } from '../../api/layout.ts'
import { isUid } from '../../api/names.ts'
import { PortError } from '../../ports/errors.ts'
import type { SocketDirectories } from '../../ports/host-network.ts'

/** The group comes from the parent's setgid bit, since the broker may not change owners. */
const directoryMode = 0o2750

export function socketDirectories(layout: Layout): SocketDirectories {
  return {
    list: () => described(`cannot read ${layout.sockets}`, async () => (await readdir(layout.sockets)).filter(isUid)),
    make: (uid) =>
      described('cannot create the directory of a socket', async () => {
        const path = layout.socketDirectory(uid)
        // The umask keeps the group's permissions, and only the broker may write here at any time.
        await unless('EEXIST', mkdir(path, { mode: 0o700 }))
        await chmod(path, directoryMode)
      }),
    remove: (uid) =>
      described('cannot remove the directory of a socket', async () => {
        await unless('ENOENT', unlink(layout.brokerSocket(uid)))
        await unless('ENOENT', rmdir(layout.socketDirectory(uid)))
      }),
  }
}

async function unless(code: string, work: Promise<unknown>): Promise<void> {
  try {
    await work
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== code) throw error
  }
}

async function described<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work()
  } catch (cause) {
    throw new PortError('Unavailable', `${what}: ${(cause as Error).message}; run install-node on this node`, { cause })
  }
}
