import { chmod, mkdtemp, open, readFile, rm, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import type { ChildProcesses } from '../src/ports/child-process.ts'
import type { LaunchConfig } from '../src/api/wire/launch.ts'
import type { SlottedNic } from './launch-files.ts'
import { RunnerExit } from './exit-codes.ts'
import { safeText } from './serial-text.ts'

/**
 * cloud-init's NoCloud metadata, as JSON: it quotes every string, so no YAML 1.1 parser reads a MAC address or a time as a number. Keys go into
 * `public-keys`, which the default user gets. The user data stays unchanged, byte for byte.
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

/**
 * cloud-init's network configuration, version 2. Undefined for one NIC with DHCP, which guests use anyway. The first NIC's default route wins,
 * and the boot waits for no other NIC. Old releases of cloud-init take the key for the interface's name.
 */
export function networkConfig(
  nics: readonly SlottedNic[],
  { networks = [] }: Pick<LaunchConfig['cloudInit'], 'networks'>,
): string | undefined {
  if (nics.length < 2 && networks.length === 0) return undefined
  const ethernets = nics.map(({ name, mac, slot }, index) => [
    `enp0s${slot}`,
    {
      match: { macaddress: mac },
      ...addressing(
        networks.find((one) => one.name === name),
        100 * (index + 1),
      ),
      ...(index > 0 && { optional: true }),
    },
  ])
  return `${JSON.stringify({ version: 2, ethernets: Object.fromEntries(ethernets) })}\n`
}

type StaticNetwork = NonNullable<LaunchConfig['cloudInit']['networks']>[number]

function addressing(fixed: StaticNetwork | undefined, metric: number): object {
  if (fixed === undefined) return { dhcp4: true, 'dhcp4-overrides': { 'route-metric': metric } }
  const { address, gateway, nameservers } = fixed
  return {
    addresses: [address],
    ...(gateway !== undefined && { routes: [{ to: '0.0.0.0/0', via: gateway, metric }] }),
    ...(nameservers.length > 0 && { nameservers: { addresses: nameservers } }),
  }
}

/** User data of a VM that has none, since cloud-init requires the file. */
export const emptyUserData = '#cloud-config\n{}\n'

export interface SeedInputs {
  readonly cloudInit: LaunchConfig['cloudInit']
  readonly nics: readonly SlottedNic[]
  /** Mount path of the secret. */
  readonly userDataPath: string
  readonly networkDataPath: string
  /** A tmpfs: user data may hold secrets and must not reach a disk. */
  readonly scratch: string
  readonly genisoimage: string
}

/** Creates the seed, an ISO with the volume label `cidata` that only the runner can read. Resolves with its path. Throws RunnerExit `SeedFailed`. */
export async function makeSeed(inputs: SeedInputs, processes: ChildProcesses): Promise<string> {
  try {
    const userData = inputs.cloudInit.hasUserData ? await readFile(inputs.userDataPath) : Buffer.from(emptyUserData)
    const directory = await mkdtemp(join(inputs.scratch, 'seed-'))
    await chmod(directory, 0o700)
    // As written: it replaces the configuration that swarmvirt would write.
    const written = inputs.cloudInit.hasNetworkData === true ? await readFile(inputs.networkDataPath) : undefined
    const network = written ?? networkConfig(inputs.nics, inputs.cloudInit)
    const contents = { 'user-data': userData, 'meta-data': metaData(inputs.cloudInit), ...(network && { 'network-config': network }) }
    const files = Object.keys(contents).map((name) => join(directory, name))
    for (const [name, content] of Object.entries(contents)) await writeFile(join(directory, name), content, { mode: 0o600 })
    const iso = join(directory, 'seed.iso')
    // Created first, since genisoimage would apply the umask.
    await (await open(iso, 'wx', 0o600)).close()
    await run(processes, inputs.genisoimage, ['-quiet', '-output', iso, '-volid', 'cidata', '-joliet', '-rock', ...files])
    await Promise.all(files.map((file) => rm(file)))
    return iso
  } catch (cause) {
    throw new RunnerExit('SeedFailed', `Cannot create the cloud-init seed: ${(cause as Error).message}`, { cause })
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
