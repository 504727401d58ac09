import { wrongAnnotations } from './annotations.ts'
import { at, type ManifestIssue, type ManifestPath } from './issue.ts'
import { parseQuantity } from '../quantity.ts'
import { isNetworkImage } from './spec/image.ts'
import { mostVcpus, vcpusOf } from '../vcpus.ts'
import { wrongStaticAddress } from './static-address.ts'
import { userPorts } from './user-ports.ts'

const bridgeOnly = ['vlan', 'isolated', 'antiSpoof'] as const
const modes = ['bridge', 'user', 'direct'] as const

/**
 * Rules about several fields. They check the raw document, so that their errors are shown together with all others. Values of a wrong type
 * are skipped, because the schema reports them.
 */
export function brokenRules(document: unknown): ManifestIssue[] {
  return [
    ...wrongAnnotations(document),
    ...vcpus(document),
    ...disks(document),
    ...networks(document),
    ...firmware(document),
    ...memoryTarget(document),
  ]
}

function vcpus(document: unknown): ManifestIssue[] {
  const path = ['spec', 'cpu']
  const [cores = 1, sockets = 1, threads = 1] = ['cores', 'sockets', 'threads'].map((key) => at(document, [...path, key]) ?? 1)
  if (typeof cores !== 'number' || typeof sockets !== 'number' || typeof threads !== 'number') return []
  const count = vcpusOf({ cores, sockets, threads })
  if (count <= mostVcpus || Math.max(cores, sockets) > mostVcpus) return []
  const message = `${cores} cores × ${sockets} sockets × ${threads} threads are ${count} virtual CPUs, and a guest has at most ${mostVcpus}`
  return [{ code: 'VM013', path, message }]
}

function disks(document: unknown): ManifestIssue[] {
  const path = ['spec', 'disks']
  const each = entries(document, path).flatMap(([place, disk]) => {
    if (disk['cdrom'] !== undefined) return ['image', 'size', 'bus', 'readOnly', 'limits'].flatMap((key) => both(place, disk, 'cdrom', key))
    return [...missing(place, disk, 'size'), ...unproven([...place, 'image'], disk['image'])]
  })
  return [...each, ...twice(document, path, 'disk'), ...cdroms(document, path)]
}

/** The SATA ports of the chipset. */
const mostCdroms = 6

/** A VM has a disk of its own, which its node keeps for it. */
function cdroms(document: unknown, path: ManifestPath): ManifestIssue[] {
  const all = entries(document, path)
  const drives = all.filter(([, disk]) => disk['cdrom'] !== undefined)
  const [drive, tooMany] = [drives[0], drives[mostCdroms]]
  if (drive !== undefined && drives.length === all.length)
    return [{ code: 'VM013', path: [...drive[0], 'cdrom'], message: 'a VM needs a disk beside its CD-ROM drives', help: 'add a disk' }]
  if (tooMany === undefined) return []
  return [{ code: 'VM013', path: [...tooMany[0], 'cdrom'], message: `a VM has at most ${mostCdroms} CD-ROM drives` }]
}

/** An image from the network needs its hash, unless the manifest says `insecure: true`. */
function unproven(place: ManifestPath, image: unknown): ManifestIssue[] {
  const source = at(image, ['source'])
  if (typeof source !== 'string' || !isNetworkImage(source) || at(image, ['sha256']) !== undefined || at(image, ['insecure']) === true)
    return []
  return [{ code: 'VM011', path: [...place, 'sha256'], message: 'an image from the network needs its sha256' }]
}

function networks(document: unknown): ManifestIssue[] {
  const path = ['spec', 'networks']
  const each = entries(document, path).flatMap(([place, network]): ManifestIssue[] => {
    const [first, second] = modes.filter((mode) => network[mode] !== undefined)
    if (first === undefined) return [{ code: 'VM011', path: [...place, 'bridge'], message: `a network needs one of ${modes.join(', ')}` }]
    const only = [...bridgeOnly, 'fallback', ...(first === 'user' ? ['address', 'ipv4', 'mtu'] : [])]
    const others = first === 'bridge' ? [] : only.filter((key) => network[key] !== undefined)
    return [
      ...(second === undefined ? [] : both(place, network, second, first)),
      ...others.map((key) => ({ code: 'VM013', path: [...place, key], message: `${key} does not go with ${first}` })),
      ...both(place, network, 'address', 'ipv4'),
      ...wrongStaticAddress(place, network),
    ]
  })
  return [...each, ...twice(document, path, 'network'), ...userPorts(entries(document, path)), ...networkData(document)]
}

/** cloud-init takes one network configuration. */
function networkData(document: unknown): ManifestIssue[] {
  const path = ['spec', 'cloudInit', 'networkData']
  const fixed = entries(document, ['spec', 'networks']).some(([, { ipv4 }]) => ipv4 !== undefined)
  if (at(document, path) === undefined || !fixed) return []
  const help = 'remove one of the two: networkData replaces the whole network configuration'
  return [{ code: 'VM013', path, message: 'networkData and ipv4 of a network do not go together', help }]
}

function firmware(document: unknown): ManifestIssue[] {
  const path = ['spec', 'firmware']
  if (at(document, [...path, 'secureBoot']) !== true || at(document, [...path, 'mode']) === 'uefi') return []
  return [{ code: 'VM013', path: [...path, 'secureBoot'], message: 'secureBoot needs mode: uefi' }]
}

type Entry = readonly [ManifestPath, Readonly<Record<string, unknown>>]

function entries(document: unknown, path: ManifestPath): Entry[] {
  const list = at(document, path)
  if (!Array.isArray(list)) return []
  return list.flatMap((one: unknown, index) =>
    one !== null && typeof one === 'object' && !Array.isArray(one) ? [[[...path, index], one as Record<string, unknown>] as const] : [],
  )
}

function both(place: ManifestPath, entry: Readonly<Record<string, unknown>>, key: string, other: string): ManifestIssue[] {
  if (entry[key] === undefined || entry[other] === undefined) return []
  return [{ code: 'VM013', path: [...place, key], message: `${key} and ${other} do not go together`, help: 'remove one of the two' }]
}

function missing(place: ManifestPath, entry: Readonly<Record<string, unknown>>, key: string): ManifestIssue[] {
  const name = [...place, key].map((step) => (typeof step === 'number' ? '*' : step)).join('.')
  return entry[key] === undefined ? [{ code: 'VM011', path: [...place, key], message: `field "${name}" is missing` }] : []
}

function twice(document: unknown, path: ManifestPath, what: string): ManifestIssue[] {
  const seen = new Map<unknown, number>()
  return entries(document, path).flatMap(([place, { name }], index) => {
    const first = seen.get(name)
    if (typeof name !== 'string' || first === undefined) {
      seen.set(name, index)
      return []
    }
    return [
      { code: 'VM013', path: [...place, 'name'], message: `there is a ${what} "${name}" already`, help: 'give this one another name' },
    ]
  })
}

function memoryTarget(document: unknown): ManifestIssue[] {
  const path = ['spec', 'memoryTarget']
  const [target, memory] = [at(document, path), at(document, ['spec', 'memory'])].map((one) =>
    typeof one === 'string' ? parseQuantity(one) : undefined,
  )
  if (target === undefined || memory === undefined || target <= memory) return []
  return [{ code: 'VM013', path, message: 'memoryTarget is larger than memory', help: 'raise memory, which needs a restart' }]
}
