import { readdir, readFile, stat } from 'node:fs/promises'
import { join } from 'node:path'

/** A key on one line with its comment: some hundred bytes, or a thousand for RSA. */
const maxBytes = 64 * 1024

/** The lines of every `*.pub` file in a directory, in name order. Empty if the directory does not exist. Throws if a file cannot be read. */
export async function publicKeyLines(directory: string): Promise<readonly string[]> {
  const lines: string[] = []
  for (const name of (await names(directory)).filter((name) => name.endsWith('.pub')).sort()) {
    const path = join(directory, name)
    const found = await stat(path)
    if (found.isFile() && found.size <= maxBytes) lines.push(...(await readFile(path, 'utf8')).split('\n'))
  }
  return lines
}

async function names(directory: string): Promise<string[]> {
  try {
    return await readdir(directory)
  } catch (error) {
    if ((error as { code?: string }).code === 'ENOENT') return []
    throw error
  }
}
