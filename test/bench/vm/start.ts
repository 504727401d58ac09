import { copyFileSync, mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { manifest, reservedMac } from '../../e2e/support.ts'
import type { Deployment } from '../../lab/deployment.ts'
import type { Lab } from '../../lab/lab.ts'
import { until } from '../../lab/run.ts'
import { type Figure, median } from '../figures.ts'
import { containers, isQemu, node, processesOf, untilHalted } from './node.ts'

const aimMs = 1_000
const tap = 'bench'

/** A new VM, from its manifest until it answers on the LAN; then the same QEMU with the same disk, from `docker run` until it answers. */
export async function measureStart(deployment: Deployment, rounds: number): Promise<Figure> {
  const { lab } = deployment
  const dir = mkdtempSync(join(tmpdir(), 'swarmvirt-bench-'))
  await makeTap(lab)
  const [ours, byHand]: [number[], number[]] = [[], []]
  for (let round = 0; round < rounds; round += 1) {
    const name = `start-${round}`
    const address = `192.168.50.${20 + round}`
    await lab.reserve(reservedMac(name), address)
    const declare = (runStrategy: string) => deployment.writeManifest(`${name}.yaml`, manifest(name, { runStrategy, accelerator: 'tcg' }))
    ours.push(await timeUntilReached(lab, address, async () => declare('Always')))
    const command = await commandByHand(lab, name, dir)
    declare('Halted')
    await untilHalted(lab)
    byHand.push(await timeUntilReached(lab, address, () => lab.mustDocker(node, command)))
    await lab.mustDocker(node, ['rm', '--force', 'by-hand'])
  }
  rmSync(dir, { recursive: true })
  const beyondMs = median(ours) - median(byHand)
  return {
    measured: `${seconds(beyondMs)} beyond (${seconds(median(ours))} and ${seconds(median(byHand))}, medians of ${rounds})`,
    isMet: beyondMs <= aimMs,
  }
}

function seconds(ms: number): string {
  return `${(ms / 1000).toFixed(2)} s`
}

/** For QEMU by hand, which may not create one. */
async function makeTap(lab: Lab): Promise<void> {
  for (const command of [`tuntap add ${tap} mode tap`, `link set ${tap} master br0 up`]) {
    const { code, stderr } = await lab.exec(node, ['ip', ...command.split(' ')])
    if (code !== 0) throw new Error(`ip ${command}: ${stderr}`)
  }
}

/** Any HTTP answer of the guest counts. dnsmasq enters the guest's MAC into the ARP table with the lease, so no request waits for ARP. */
async function timeUntilReached(lab: Lab, address: string, start: () => Promise<unknown>): Promise<number> {
  const isReached = (): Promise<true | undefined> => lab.httpGet('lan', `http://${address}/`, { timeoutMs: 200 }).then(() => true)
  const sinceMs = performance.now()
  await start()
  await until(`${address} to answer`, 120_000, isReached, 10)
  return performance.now() - sinceMs
}

/** `docker run` of the VM's own QEMU command, with its mounts and a copy of its cloud-init seed. */
async function commandByHand(lab: Lab, name: string, dir: string): Promise<readonly string[]> {
  const [container = ''] = await containers(lab, `^vm-${name}\\.`)
  const inspect = (format: string): Promise<string> => lab.mustDocker(node, ['inspect', '--format', format, container])
  const qemu = (await processesOf(lab, container)).find(isQemu)
  const args = readFileSync(`/proc/${qemu}/cmdline`, 'utf8').split('\0').slice(1, -1)
  const seed = /\/tmp\/[\w-]+\/seed\.iso/.exec(args.join(' '))?.[0] ?? ''
  copyFileSync(`/proc/${qemu}/root${seed}`, join(dir, 'seed.iso'))
  const mounts = JSON.parse(await inspect('{{json .Mounts}}')) as readonly { Type: string; Source: string; Destination: string }[]
  const binds = mounts.flatMap(({ Type, Source, Destination }) => (Type === 'bind' ? ['--volume', `${Source}:${Destination}`] : []))
  const run = ['run', '--detach', '--name', 'by-hand', '--network', 'host', '--device', '/dev/net/tun', '--read-only']
  const [memory, image] = [(await inspect('{{.HostConfig.Memory}}')).trim(), (await inspect('{{.Config.Image}}')).trim()]
  const seedMount = ['--volume', `${join(dir, 'seed.iso')}:${seed}:ro`]
  const qemuArgs = args.filter((one) => one !== '-S').map(withoutDescriptors)
  return [...run, '--memory', memory, ...binds, ...seedMount, '--user', '0', '--entrypoint', 'qemu-system-x86_64', image, ...qemuArgs]
}

/** The runner passes descriptors of QMP, serial port and TAP. By hand, nobody uses QMP and the serial port, and the TAP has a name. */
function withoutDescriptors(argument: string): string {
  return argument
    .replace(/^socket,id=(\w+),fd=\d+$/, 'null,id=$1')
    .replace(/^tap,id=(\w+),fd=\d+/, `tap,id=$1,ifname=${tap},script=no,downscript=no`)
}
