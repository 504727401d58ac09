import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChildProcesses } from '../src/ports/child-process.ts'
import type { LaunchConfig } from '../src/api/wire/launch.ts'
import { RunnerExit } from './exit-codes.ts'
import { safeText } from './serial-text.ts'

/**
 * cloud-init's NoCloud metadata. JSON is YAML in which every text is quoted, so that no YAML 1.1 reader takes a MAC or a time for a number.
 * Keys travel as `public-keys`, which the default user gets: the user's own text stays as it is, byte for byte.
 */
export function metaData(cloudInit: LaunchConfig['cloudInit']): string {
  const keys = cloudInit.sshAuthorizedKeys
  const document = {
    'instance-id': cloudInit.instanceId,
    'local-hostname': cloudInit.hostname,
    ...(keys.length > 0 && { 'public-keys': keys }),
  }
  return `${JSON.stringify(document)}\n`
}

/** What a VM without user data gets: cloud-init wants the file to be there. */
export const emptyUserData = '#cloud-config\n{}\n'

export interface SeedInputs {
  readonly cloudInit: LaunchConfig['cloudInit']
  /** Where the secret is mounted. */
  readonly userDataPath: string
  /** A tmpfs: user data may hold secrets and must not reach a disk. */
  readonly scratch: string
  readonly genisoimage: string
}

/** Makes the seed, an ISO with the volume label `cidata`, readable by us alone; resolves with its path. Throws RunnerExit `SeedFailed`. */
export async function makeSeed(inputs: SeedInputs, processes: ChildProcesses): Promise<string> {
  try {
    const userData = inputs.cloudInit.hasUserData ? await readFile(inputs.userDataPath) : Buffer.from(emptyUserData)
    const directory = await mkdtemp(join(inputs.scratch, 'seed-'))
    await chmod(directory, 0o700)
    const files = [join(directory, 'user-data'), join(directory, 'meta-data')] as const
    await writeFile(files[0], userData, { mode: 0o600 })
    await writeFile(files[1], metaData(inputs.cloudInit), { mode: 0o600 })
    const iso = join(directory, 'seed.iso')
    // Made before genisoimage does, which would ask the umask.
    await (await open(iso, 'wx', 0o600)).close()
    await run(processes, inputs.genisoimage, ['-quiet', '-output', iso, '-volid', 'cidata', '-joliet', '-rock', ...files])
    await Promise.all(files.map((file) => rm(file)))
    return iso
  } catch (cause) {
    throw new RunnerExit('SeedFailed', `The cloud-init seed cannot be made: ${(cause as Error).message}`, { cause })
  }
}

async function run(processes: ChildProcesses, file: string, args: readonly string[]): Promise<void> {
  let output = ''
  const child = await processes.spawn(file, args, {
    channels: 0,
    fds: [],
    onOutput: (bytes) => {
      if (output.length < 2_000) output += Buffer.from(bytes).toString('utf8')
    },
  })
  const end = await child.ended
  if (end.kind === 'exited' && end.code === 0) return
  throw new Error(`${file} ended with ${end.kind === 'exited' ? `code ${end.code}` : end.signal}: ${safeText(output.trim())}`)
}
