/** The servers on the two switches: DHCP on the LAN; a web server and a registry on the management network. */
import { existsSync, mkdirSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { logPath, startDaemon } from './daemons.ts'
import { dmzGateway, lanGateway, type LabLayout, managementGateway, nodeBinary, registryAddress } from './layout.ts'
import { readRecord, signal } from './processes.ts'
import { must, until } from './run.ts'

export type Lease = { readonly expires: number; readonly mac: string; readonly ip: string; readonly hostname: string }

const hostsFile = (layout: LabLayout): string => join(layout.dir, 'dhcp', 'hosts')
const leaseFile = (layout: LabLayout): string => join(layout.dir, 'dhcp', 'leases')
/** Files put here by anyone are read at once, without a signal. */
const hostsDir = (layout: LabLayout): string => join(layout.dir, 'dhcp', 'hosts.d')

function dnsmasqArgv(layout: LabLayout): string[] {
  return [
    'dnsmasq',
    '--keep-in-foreground',
    '--conf-file=/dev/null',
    '--pid-file=',
    '--user=root',
    '--log-facility=-',
    '--log-dhcp',
    '--interface=sw',
    '--interface=dmz',
    '--bind-interfaces',
    '--no-resolv',
    '--no-hosts',
    '--dhcp-authoritative',
    '--no-ping',
    '--dhcp-range=192.168.50.100,192.168.50.199,255.255.255.0,1h',
    '--dhcp-range=192.168.51.100,192.168.51.199,255.255.255.0,1h',
    `--dhcp-leasefile=${leaseFile(layout)}`,
    `--dhcp-hostsfile=${hostsFile(layout)}`,
    `--dhcp-hostsdir=${hostsDir(layout)}`,
    `--listen-address=${lanGateway},${dmzGateway}`,
  ]
}

function nsenter(netns: string, argv: readonly string[]): string[] {
  return ['nsenter', `--net=/run/netns/${netns}`, '--', ...argv]
}

function startRegistry(layout: LabLayout): void {
  const config = join(layout.dir, 'registry.yml')
  const storage = { filesystem: { rootdirectory: join(layout.dir, 'registry') }, delete: { enabled: true } }
  // JSON is YAML. The environment would win over the file, so none is passed on.
  writeFileSync(config, JSON.stringify({ version: 0.1, log: { level: 'warn' }, storage, http: { addr: registryAddress } }))
  const argv = ['env', '-i', 'OTEL_TRACES_EXPORTER=none', 'docker-registry', 'serve', config]
  startDaemon(layout, { job: 'registry', cgroup: layout.cgroup, argv: nsenter(layout.mgmtNetns, argv) })
}

export function startSwitchServices(layout: LabLayout): void {
  for (const dir of [hostsDir(layout), layout.www, join(layout.dir, 'registry')]) mkdirSync(dir, { recursive: true })
  for (const file of [hostsFile(layout), leaseFile(layout)]) writeFileSync(file, '')
  startDaemon(layout, { job: 'dnsmasq', cgroup: layout.cgroup, argv: nsenter(layout.lanNetns, dnsmasqArgv(layout)) })
  const www = [nodeBinary(), join(import.meta.dirname, 'www-server.ts'), layout.www, managementGateway, '8080']
  startDaemon(layout, { job: 'www', cgroup: layout.cgroup, argv: nsenter(layout.mgmtNetns, www) })
  startRegistry(layout)
}

/** Waits until all three listen. See ss(8). */
export async function waitForSwitchServices(layout: LabLayout): Promise<void> {
  const listens = async (netns: string, port: number): Promise<boolean> => {
    const sockets = await must(nsenter(netns, ['ss', '-H', '-l', '-t', '-u', '-n', 'sport', '=', `:${port}`]))
    return sockets.trim() !== ''
  }
  await until('DHCP, web server and registry to listen', 15_000, async () => {
    const all = await Promise.all([listens(layout.lanNetns, 67), listens(layout.mgmtNetns, 8080), listens(layout.mgmtNetns, 5000)])
    return all.every(Boolean) ? true : undefined
  })
}

/** How often dnsmasq has said that it read the file of reservations. */
function timesRead(layout: LabLayout): number {
  return readFileSync(logPath(layout, 'dnsmasq'), 'utf8').split(`read ${hostsFile(layout)}\n`).length - 1
}

/** Makes or moves a DHCP reservation, and returns when dnsmasq knows it. `null` as address takes it away. */
export async function reserve(layout: LabLayout, mac: string, ip: string | null): Promise<void> {
  const kept = readFileSync(hostsFile(layout), 'utf8')
    .split('\n')
    .filter((line) => line !== '' && !line.startsWith(`${mac.toLowerCase()},`))
  const lines = ip === null ? kept : [...kept, `${mac.toLowerCase()},${ip}`]
  writeFileSync(`${hostsFile(layout)}.new`, lines.map((line) => `${line}\n`).join(''))
  renameSync(`${hostsFile(layout)}.new`, hostsFile(layout))
  const before = timesRead(layout)
  const id = readRecord(layout, 'dnsmasq')
  if (id === undefined) throw new Error('dnsmasq does not run')
  signal(id, 'SIGHUP')
  await until('dnsmasq to read the reservations', 5_000, async () => (timesRead(layout) > before ? true : undefined), 10)
}

/** The leases as dnsmasq keeps them, one line each: expiry, MAC, address, host name, client id. */
export function leases(layout: LabLayout): Lease[] {
  if (!existsSync(leaseFile(layout))) return []
  return readFileSync(leaseFile(layout), 'utf8')
    .split('\n')
    .flatMap((line) => {
      const [expires, mac, ip, hostname] = line.split(' ')
      if (expires === undefined || mac === undefined || ip === undefined) return []
      return [{ expires: Number(expires), mac, ip, hostname: hostname ?? '*' }]
    })
}
