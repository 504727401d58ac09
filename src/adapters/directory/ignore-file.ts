import ignore from 'ignore'
import { join } from 'node:path'
import { type ManifestRoot, resolveInside } from './inside.ts'
import type { SourceFiles } from './source-files.ts'

/** Returns whether a path below the manifest directory is ignored. */
export type IsIgnored = (shown: string, isDirectory: boolean) => boolean

export const ignoreFileName = '.swarmvirtignore'
export const maxIgnoreBytes = 16 * 1024
const maxRules = 100
/** A rule becomes a regular expression. Its running time is the length of a name to the power of this number. */
const maxStars = 2

/** The path of the ignore file. Undefined if there is none. Throws if it leads out of the directory or cannot be checked. */
export async function ignoreFile(files: SourceFiles, { boundary, directory }: ManifestRoot): Promise<string | undefined> {
  if (directory === undefined) return undefined
  const path = join(directory, ignoreFileName)
  const isThere = await files.lstat(path).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return false
      throw error
    },
  )
  return isThere ? resolveInside(files, boundary, path) : undefined
}

/** Rules as in gitignore(5). Throws an error that names the invalid line. */
export function ignoreRules(bytes: Uint8Array): IsIgnored {
  if (bytes.length > maxIgnoreBytes) throw new Error(`it is larger than ${maxIgnoreBytes} bytes`)
  const lines = new TextDecoder().decode(bytes).split('\n')
  const rules = lines.filter((line) => line.trim() !== '' && !line.startsWith('#'))
  if (rules.length > maxRules) throw new Error(`it has more than ${maxRules} rules`)
  const tooHard = lines.findIndex((line) => line.split('/').some((part) => (part.match(/\*+/g) ?? []).length > maxStars))
  if (tooHard !== -1) throw new Error(`line ${tooHard + 1} has more than ${maxStars} * between two slashes`)
  const matcher = ignore({ ignorecase: false }).add(rules)
  return (shown, isDirectory) => matcher.ignores(isDirectory ? `${shown}/` : shown)
}
