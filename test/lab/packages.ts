/** Debian packages: what the lab stands on, and what else a test asks for. */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { withLock } from './lock.ts'
import { must, run, say } from './run.ts'

/** A package by a file that shows that it is there. */
export interface DebianPackage {
  readonly file: string
  readonly pkg: string
}

const labPackages: readonly DebianPackage[] = [
  { file: '/usr/sbin/dockerd', pkg: 'docker.io' },
  { file: '/usr/bin/containerd', pkg: 'containerd' },
  { file: '/usr/sbin/iptables', pkg: 'iptables' },
  { file: '/bin/ip', pkg: 'iproute2' },
  { file: '/usr/sbin/nft', pkg: 'nftables' },
  { file: '/usr/sbin/dnsmasq', pkg: 'dnsmasq-base' },
  { file: '/bin/busybox', pkg: 'busybox-static' },
  { file: '/usr/bin/mmdebstrap', pkg: 'mmdebstrap' },
  { file: '/usr/bin/docker-registry', pkg: 'docker-registry' },
  { file: '/usr/bin/qemu-img', pkg: 'qemu-utils' },
  { file: '/usr/bin/zstd', pkg: 'zstd' },
]

const policyFile = '/usr/sbin/policy-rc.d'
const policyMark = '# Made by the swarmvirt lab for one package installation.'

/** Takes away a policy file that a killed installation of ours left; any other stays. */
function removeOwnPolicy(): void {
  if (existsSync(policyFile) && readFileSync(policyFile, 'utf8').includes(policyMark)) rmSync(policyFile)
}

/**
 * Installs what is missing and starts nothing: installing docker.io would start a dockerd, or restart the machine's
 * own. See invoke-rc.d(8): 101 is "action forbidden by policy".
 */
async function install(packages: readonly string[]): Promise<void> {
  say(`installing ${packages.join(' ')} …`)
  const env = { ...process.env, DEBIAN_FRONTEND: 'noninteractive' }
  const apt = ['apt-get', '-q', '-y', '-o', 'DPkg::Lock::Timeout=300']
  if (!existsSync(policyFile)) writeFileSync(policyFile, `#!/bin/sh\n${policyMark}\nexit 101\n`, { mode: 0o755 })
  try {
    // An installation that was killed half-way leaves dpkg to be finished first.
    await must(['dpkg', '--configure', '-a'], { env })
    const command = [...apt, 'install', '--no-install-recommends', ...packages]
    if ((await run(command, { env })).code === 0) return
    await must([...apt, 'update'], { env })
    await must(command, { env })
  } finally {
    removeOwnPolicy()
  }
}

/** Installs what is missing and starts no service. */
export async function ensurePackages(needed: readonly DebianPackage[] = labPackages): Promise<void> {
  await withLock('packages', 600_000, async () => {
    removeOwnPolicy()
    const missing = needed.filter(({ file }) => !existsSync(file)).map(({ pkg }) => pkg)
    if (missing.length > 0) await install(missing)
  })
}
