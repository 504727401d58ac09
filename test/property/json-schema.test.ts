import fc from 'fast-check'
import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../src/adapters/manifest/manifest-yaml.ts'
import type { SourceSnapshot } from '../../src/api/manifest/source-documents.ts'
import { resolveClasses } from '../../src/api/manifest/resolve-classes.ts'
import { documents, mutated } from '../schema/documents.ts'
import { schemaErrors } from '../schema/editor-schema.ts'

const read = manifestReader()

/** The errors that the reader itself finds in one file; JSON is YAML. */
function issuesOf(document: unknown): readonly string[] {
  const found = read('directory', 'x.yaml', new TextEncoder().encode(JSON.stringify(document)))
  return found.flatMap((one) => (one.ok ? [] : one.issues.map((issue) => `${issue.code} ${issue.path.join('.')}: ${issue.message}`)))
}

/** The one list of what draft-7 cannot say. */
const beyond: Readonly<Record<string, RegExp>> = {
  'the least of a quantity': /^VM010 .*: .* is less than the minimum/,
  'a quantity that is not an integer number of bytes, or is too large': /^VM010 .*: ".*" is not a quantity of bytes/,
  'the MAC of zeros alone': /^VM010 .*\.mac: not a unicast MAC/,
  'an address from DHCP beside a static one': /^VM013 spec\.networks\.\d+\.address: address and ipv4 do not go together/,
  'a static address or its gateway, compared with the subnet':
    /^VM01[03] spec\.networks\.\d+\.ipv4\.(address: "[^"]+" is the network or|gateway: (the gateway is not in|gateway and address))/,
  'more virtual CPUs than a guest can have': /^VM013 spec\.cpu: .* virtual CPUs, and a guest has at most 256/,
  'secure boot without UEFI': /^VM013 spec\.firmware\.secureBoot: secureBoot needs mode: uefi/,
  'two networks of one name': /^VM013 spec\.networks\.\d+\.name: there is a network /,
  'forwarded ports that clash within a VM':
    /^VM013 spec\.networks\.\d+\.user\.(ssh|ports\.\d+\.\w+): (there is a port|port \d+\/(tcp|udp)|another network of the VM)/,
  'published ports that every node uses itself': /^VM013 spec\.networks\.\d+\.user\.(ssh|ports\.\d+\.published): port \d+ is for Docker/,
  'a URL with a host that cannot be one': /^VM010 .*\.image\.source: /,
  'a public key that is another inside': /^VM010 .*\.sshAuthorizedKeys\.\d+: the key /,
  'what cloud-init makes of user data': /^VM015 .*\.(user|network)Data: /,
  'network data beside a static address': /^VM013 spec\.cloudInit\.networkData: networkData and ipv4/,
  'two disks with one name': /^VM013 spec\.disks\.\d+\.name: there is a disk /,
  'a VM with CD-ROM drives alone, or with too many': /^VM013 spec\.disks\.\d+\.cdrom: a VM /,
  'a memory target beyond the memory': /^VM013 spec\.memoryTarget: /,
  'the key __proto__': /^VM012 .*: unknown field "__proto__"/,
  'control characters, and halves of characters': /^VM004 /,
  'limits of the whole file': /^VM003 /,
}

/** Making a document costs more than looking at it. */
const severalMutated = documents().chain((document) => fc.array(mutated(document), { minLength: 10, maxLength: 10 }))

function isBeyond(issue: string): boolean {
  return Object.values(beyond).some((pattern) => pattern.test(issue))
}

/** The two agree: the schema refuses nothing that the reader takes, and what it lets through the reader refuses for a listed reason alone. */
function agreed(document: unknown): boolean {
  const [errors, issues] = [schemaErrors(document), issuesOf(document)]
  if (errors.length > 0 && issues.length === 0) throw new Error(`the schema refuses what the reader takes: ${errors.join('; ')}`)
  const odd = errors.length > 0 ? [] : issues.filter((issue) => !isBeyond(issue))
  if (odd.length > 0) throw new Error(`the schema takes what the reader refuses: ${odd.join('; ')}`)
  return issues.length === 0
}

const smallest = {
  apiVersion: 'swarmvirt.dev/v1alpha1',
  kind: 'VirtualMachine',
  metadata: { name: 'web' },
  spec: {
    memory: '1Gi',
    disks: [{ name: 'root', size: '1Gi', image: { source: 'images/a.qcow2' } }],
    networks: [{ name: 'lan', bridge: 'br0' }],
  },
}

function withSpec(spec: Record<string, unknown>): unknown {
  return { ...smallest, spec: { ...smallest.spec, ...spec } }
}

describe('the JSON Schema and the reader', () => {
  it('agree on documents of the shape that the schema gives', () => {
    let valid = 0
    fc.assert(
      fc.property(documents(), (document) => {
        expect(schemaErrors(document).filter((error) => !/sha256|then/.test(error))).toEqual([])
        valid += agreed(document) ? 1 : 0
      }),
      { numRuns: 300, endOnFailure: true },
    )
    // Otherwise the next property would only check invalid documents.
    expect(valid).toBeGreaterThan(100)
  })

  it('agree on documents with something wrong in them', () => {
    let refused = 0
    fc.assert(
      fc.property(severalMutated, (changed) => {
        // Nothing at all is no document, and no mistake.
        for (const document of changed) if (document !== null) refused += agreed(document) ? 0 : 1
      }),
      { numRuns: 75, endOnFailure: true },
    )
    expect(refused).toBeGreaterThan(250)
  }, 90_000)

  it.each<[string, unknown]>([
    ['the least of a quantity', withSpec({ memory: '1Ki' })],
    ['a quantity that is not an integer number of bytes, or is too large', withSpec({ memory: '0.3' })],
    [
      'an address from DHCP beside a static one',
      withSpec({ networks: [{ name: 'lan', bridge: 'br0', address: '10.0.0.5', ipv4: { address: '10.0.0.5/24' } }] }),
    ],
    [
      'two networks of one name',
      withSpec({
        networks: [
          { name: 'lan', bridge: 'br0' },
          { name: 'lan', bridge: 'br1' },
        ],
      }),
    ],
    ['more virtual CPUs than a guest can have', withSpec({ cpu: { cores: 100, sockets: 2, threads: 2 } })],
    ['a VM with CD-ROM drives alone, or with too many', withSpec({ disks: [{ name: 'tools', cdrom: { path: 'isos/a.iso' } }] })],
    [
      'forwarded ports that clash within a VM',
      withSpec({ networks: [{ name: 'lan', user: { ssh: 2222, ports: [{ name: 'web', guest: 80, published: 2222 }] } }] }),
    ],
    ['a memory target beyond the memory', withSpec({ memoryTarget: '2Gi' })],
    ['secure boot without UEFI', withSpec({ firmware: { secureBoot: true } })],
    ['the MAC of zeros alone', withSpec({ networks: [{ name: 'lan', bridge: 'br0', mac: '00:00:00:00:00:00' }] })],
    ['published ports that every node uses itself', withSpec({ networks: [{ name: 'lan', user: { ssh: 9471 } }] })],
    [
      'a URL with a host that cannot be one',
      withSpec({ disks: [{ name: 'root', size: '1Gi', image: { source: 'https://[/', sha256: 'a'.repeat(64) } }] }),
    ],
    [
      'a public key that is another inside',
      withSpec({ cloudInit: { sshAuthorizedKeys: ['ssh-rsa AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk'] } }),
    ],
    [
      'network data beside a static address',
      withSpec({
        networks: [{ name: 'lan', bridge: 'br0', ipv4: { address: '10.0.0.5/24' } }],
        cloudInit: { networkData: 'version: 2\n' },
      }),
    ],
    ['what cloud-init makes of user data', withSpec({ cloudInit: { userData: '---\n#cloud-config\n' } })],
    ['the key __proto__', JSON.parse(JSON.stringify(smallest).replace('"web"', '"web","labels":{"__proto__":"x"}'))],
    ['control characters, and halves of characters', { ...smallest, metadata: { name: 'web', labels: { a: '\u0000' } } }],
    ['limits of the whole file', withSpec({ cloudInit: { userData: 'a'.repeat(256 * 1024) } })],
  ])('differ where draft-7 cannot say it: %s', (reason, document) => {
    expect(schemaErrors(document)).toEqual([])
    const [issue, ...more] = issuesOf(document)
    expect(issue).toMatch(beyond[reason] ?? /^no such reason/)
    expect(more).toEqual([])
  })

  it.each([
    ['2', false],
    ['../2', true],
  ])('agree on the annotation cloud-init-instance: %s', (value, wrong) => {
    const document = { ...smallest, metadata: { name: 'web', annotations: { note: '../x', 'swarmvirt.dev/cloud-init-instance': value } } }
    expect([schemaErrors(document), issuesOf(document)].map((found) => found.length > 0)).toEqual([wrong, wrong])
  })

  it('differ on a class, which may stand in another file', () => {
    const document = withSpec({ class: 'small' })
    expect(schemaErrors(document)).toEqual([])
    const documents = read('directory', 'x.yaml', new TextEncoder().encode(JSON.stringify(document)))
    const snapshot: SourceSnapshot = { source: 'directory', complete: true, message: '', documents }
    const [found] = resolveClasses([snapshot]).flatMap((one) => one.documents)
    expect(found?.ok === false && found.issues.map((issue) => issue.code)).toEqual(['VM014'])
  })
})
