import { createHash } from 'node:crypto'
import { dockerArgv, dockerEnv } from './engine.ts'
import type { LabLayout } from './layout.ts'
import { pipeCommands } from './pipe.ts'

/** An image that every node gets: its reference, and the archive (zstd) it is loaded from. */
export type CachedImage = { readonly reference: string; readonly archive: string }

export function shortHash(...parts: readonly string[]): string {
  return createHash('sha256').update(parts.join('\0')).digest('hex').slice(0, 16)
}

export async function loadArchive(layout: LabLayout, socket: string, archive: string): Promise<void> {
  const unpack = { argv: ['zstd', '-q', '-d', '-c', archive] }
  await pipeCommands([unpack, { argv: dockerArgv(socket, ['load', '-q']), env: dockerEnv(layout) }])
}
