import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'

const read = manifestReader()
const web = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: web, labels: { a: b } }
spec:
  memory: 512Mi
  cpu: { cores: 1 }
  runStrategy: Always
  disks:
    - { name: root, size: 1Gi, image: { source: images/a.qcow2 } }
  networks:
    - { name: lan, bridge: br0, mac: auto, address: 192.168.50.7 }
`

function said(text: string): string {
  const found = read('directory', 'web.yaml', new TextEncoder().encode(text))
  const issues = found.flatMap((one) => (one.ok ? [] : one.issues))
  return issues.map(({ code, line, column, message, help }) => `${code} ${line}:${column} ${message} / ${help ?? ''}`).join('\n')
}

/** The most likely mistakes, and all that is said of each; those of user data and keys are in user-data.test.ts. */
const mistakes: readonly [wrong: string, right: string, says: string][] = [
  ['memory: 512', 'memory: 512Mi', 'VM010 5:11 512 has no unit / write 512Mi or 512Gi; "512" in quotes is bytes'],
  ['memory: 1GB', 'memory: 512Mi', 'VM010 5:11 "1GB" is not a quantity of bytes / write 1Gi or 1G'],
  ['memory: 512 MB', 'memory: 512Mi', 'VM010 5:11 "512 MB" is not a quantity of bytes / write 512Mi or 512M'],
  ['memory: 2g', 'memory: 512Mi', 'VM010 5:11 "2g" is not a quantity of bytes / write 2Gi or 2G'],
  ['memory: 1 GiB', 'memory: 512Mi', 'VM010 5:11 "1 GiB" is not a quantity of bytes / write 1Gi'],
  ['memory: lots', 'memory: 512Mi', 'VM010 5:11 "lots" is not a quantity of bytes / write for example 512Mi or 20Gi'],
  ['memory: 1Mi', 'memory: 512Mi', 'VM010 5:11 1Mi is less than the minimum, 32Mi / '],
  ['memory:', 'memory: 512Mi', 'VM010 5:10 spec.memory has no value / write one, or remove the field'],
  ['memory: { size: 1Gi }', 'memory: 512Mi', 'VM010 5:11 spec.memory is a string, not a mapping / '],
  [
    'memory: “512Mi”',
    'memory: 512Mi',
    'VM010 5:11 "“512Mi”" is not a quantity of bytes / column 11 has a typographic quote (U+201C); type a plain "',
  ],
  [
    'memory:\u00a0512Mi',
    'memory: 512Mi',
    'VM002 5:3 not YAML: a key without ": " after it, or wrong indentation / column 10 has a no-break or other special space (U+00A0); type a plain space',
  ],
  [
    'memory\u00a0: 512Mi',
    'memory: 512Mi',
    'VM011 4:1 field "spec.memory" is missing / \nVM012 5:3 unknown field "memory\u00a0" / column 9 has a no-break or other special space (U+00A0); type a plain space',
  ],
  [
    'cpu: 2',
    'cpu: { cores: 1 }',
    'VM010 6:8 spec.cpu is a mapping of fields, not the number 2 / its fields are cores, sockets, threads, model',
  ],
  ['cpus: { cores: 1 }', 'cpu: { cores: 1 }', 'VM012 6:3 unknown field "cpus" / did you mean "cpu"?'],
  ['cores: "2"', 'cores: 1', 'VM010 6:17 spec.cpu.cores is an integer, not a string / write 2 without quotes'],
  ['cores: 1.5', 'cores: 1', 'VM010 6:17 spec.cpu.cores is 1.5, which is not an integer / '],
  ['cores: 0', 'cores: 1', 'VM010 6:17 spec.cpu.cores is 0; the minimum is 1 / '],
  ['cores: 1000', 'cores: 1', 'VM010 6:17 spec.cpu.cores is 1000; the maximum is 256 / '],
  ['<<: *small', 'cores: 1', 'VM003 6:14 the alias *small has no anchor before it / '],
  [
    '<<: { cores: 1 }',
    'cores: 1',
    'VM012 6:10 merge keys ("<<") are not part of YAML 1.2 / write the fields out; an alias for a whole value (cpu: *small) or a VirtualMachineClass shares them',
  ],
  [
    'runStrategy: Alway',
    'runStrategy: Always',
    'VM010 7:16 "Alway" is not a valid value of spec.runStrategy; write Always or Halted or RerunOnFailure or Once or Manual / did you mean "Always"?',
  ],
  [
    'runStrategy: always',
    'runStrategy: Always',
    'VM010 7:16 "always" is not a valid value of spec.runStrategy; write Always or Halted or RerunOnFailure or Once or Manual / did you mean "Always"?',
  ],
  [
    'runStrategy: true',
    'runStrategy: Always',
    'VM010 7:16 true is not a valid value of spec.runStrategy; write Always or Halted or RerunOnFailure or Once or Manual / ',
  ],
  ['a: 1', 'a: b', 'VM010 3:37 metadata.labels.a is a string, not the number 1 / put it in quotes: "1"'],
  ['a: true', 'a: b', 'VM010 3:37 metadata.labels.a is a string, not true / put it in quotes: "true"'],
  ['name: Web_1', 'name: web', 'VM010 3:19 a VM name is 1 to 50 characters of a-z 0-9 -, and starts and ends with a letter or digit / '],
  [
    'source: ~/a.qcow2',
    'source: images/a.qcow2',
    'VM010 9:49 an image source is images/NAME (a file in the images directory of the state root) or an http(s):// URL / ',
  ],
  ['source: oci://x/y', 'source: images/a.qcow2', 'VM020 9:41 spec.disks[].image.source: oci:// is not supported yet / '],
  ['source: https://x.example/a', 'source: images/a.qcow2', 'VM011 9:32 an image from the network needs its sha256 / '],
  [
    'disks: { name: root }',
    'disks:\n    - { name: root, size: 1Gi, image: { source: images/a.qcow2 } }',
    'VM010 8:10 spec.disks is a list, not a mapping / begin each entry with "- ", or put the list into [ ]',
  ],
  [
    'networks: []',
    'networks:\n    - { name: lan, bridge: br0, mac: auto, address: 192.168.50.7 }',
    'VM010 10:13 spec.networks has 0 entries; the minimum is 1 / ',
  ],
  ['mac: 52:54:00', 'mac: auto', 'VM010 11:38 not a unicast MAC address; write auto or for example 52:54:00:12:34:56 / '],
  [
    'address: 0.0.0.0',
    'address: 192.168.50.7',
    'VM010 11:53 no machine can have the address 0.0.0.0 / leave the field out if no address is expected',
  ],
  [
    'address: 127.0.0.1',
    'address: 192.168.50.7',
    'VM010 11:53 no machine can have the address 127.0.0.1 / it is a loopback address; write the one that the DHCP reservation gives',
  ],
  [
    'address: 224.0.0.1',
    'address: 192.168.50.7',
    'VM010 11:53 no machine can have the address 224.0.0.1 / it is a multicast address; write the one that the DHCP reservation gives',
  ],
  [
    'address: 255.255.255.255',
    'address: 192.168.50.7',
    'VM010 11:53 no machine can have the address 255.255.255.255 / it is a reserved or broadcast address; write the one that the DHCP reservation gives',
  ],
  [
    'address: 192.168.50.7/24',
    'address: 192.168.50.7',
    'VM010 11:53 "192.168.50.7/24" is not an IPv4 address / write the address without its prefix length',
  ],
  [
    'kind: VirtualMaschine',
    'kind: VirtualMachine',
    'VM005 2:7 not a VirtualMachine: kind is "VirtualMaschine" / did you mean "VirtualMachine"?',
  ],
  [
    'apiVersion: swarmvirt.dev/v1alpha',
    'apiVersion: swarmvirt.dev/v1alpha1',
    'VM005 1:13 not a VirtualMachine: apiVersion is "swarmvirt.dev/v1alpha" / did you mean "swarmvirt.dev/v1alpha1"?',
  ],
  [
    'memory:512Mi',
    'memory: 512Mi',
    'VM002 5:3 not YAML: a key without ": " after it, or wrong indentation / write KEY: VALUE with a space after the colon',
  ],
  [
    ' memory: 512Mi',
    'memory: 512Mi',
    'VM002 6:1 not YAML: the indentation does not fit / lines of one mapping or list begin in the same column; use spaces',
  ],
  [
    'memory: "512Mi',
    'memory: 512Mi',
    'VM002 12:1 not YAML: a " that is not closed / close it with "; inside single quotes, write a quote twice',
  ],
  ['\tmemory: 512Mi', '  memory: 512Mi', 'VM002 5:1 not YAML: a tab as indentation / use spaces'],
  ['cpu: { cores: 1', 'cpu: { cores: 1 }', 'VM002 7:3 not YAML: a { that is not closed / close it with }'],
]

describe('the most likely mistakes', () => {
  it.each(mistakes)('%j for %j', (wrong, right, says) => {
    expect(web).toContain(right)
    const found = said(web.replace(right, () => wrong))
    // For invalid YAML only the first error is reported.
    expect(says.startsWith('VM002') ? found.split('\n')[0] : found).toBe(says)
  })

  it('report nothing about valid fields', () => {
    expect(said(web)).toBe('')
  })
})
