import { describe, expect, it } from 'vitest'
import { stringify } from 'yaml'
import { networkDataFindings } from '../../../src/adapters/manifest/user-data.ts'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import type { SourceIssue } from '../../../src/api/manifest/source-documents.ts'

const read = manifestReader()
const blob = 'AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk'
const head = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: web }
spec:
  memory: 512Mi
  disks: [{ name: root, size: 1Gi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, bridge: br0 }]
  cloudInit:
`

function found(cloudInit: string): readonly SourceIssue[] {
  const documents = read('directory', 'web.yaml', new TextEncoder().encode(head + cloudInit))
  return documents.flatMap((one) => [...(one.ok ? [] : one.issues), ...('warnings' in one ? (one.warnings ?? []) : [])])
}

function said(cloudInit: string): string[] {
  return found(cloudInit).map(({ code, line, column, message }) => `${code} ${line}:${column} ${message}`)
}

/** As a literal block, which begins in line 10 and column 7. */
function userData(text: string): string {
  return `    userData: |\n${text.replaceAll(/^(?=.)/gm, '      ')}`
}

const drops = 'so cloud-init drops all of this'
const notPyYaml = 'not YAML for cloud-init, so it drops all of this'
const notKnown = 'a header that cloud-init does not know, so it drops all of this'

describe('user data that cloud-init drops', () => {
  it.each<[what: string, cloudInit: string, says: string]>([
    ['no header', userData('packages: [curl]\n'), `VM040 10:7 no header that cloud-init knows, so it drops all of this`],
    ['a late header', userData('# mine\n\n#cloud-config\na: b\n'), `VM015 12:7 #cloud-config is not at the beginning, ${drops}`],
    ['--- first', userData('---\n#cloud-config\na: b\n'), `VM015 11:7 #cloud-config is not at the beginning, ${drops}`],
    ['a misspelt header', userData('#cloud-confg\na: b\n'), `VM015 10:7 ${notKnown}`],
    ['a space in the header', userData('\n# cloud-config\na: b\n'), `VM015 11:7 ${notKnown}`],
    ['no # in the header', userData('cloud-config\na: b\n'), `VM015 10:7 ${notKnown}`],
    [
      'a folded scalar',
      '    userData: >\n      #cloud-config\n      a: b\n',
      'VM015 9:15 all on the line of #cloud-config, which is a comment, so cloud-init drops it',
    ],
    [
      'one plain line',
      '    userData: "#cloud-config a: b"\n',
      'VM015 9:16 all on the line of #cloud-config, which is a comment, so cloud-init drops it',
    ],
    [
      'base64',
      userData(`${btoa('#cloud-config\na: b\n')}\n`),
      `VM015 10:7 base64, which cloud-init does not decode here, so it drops all of this`,
    ],
    [
      'gzip in base64',
      userData('H4sIAAAAAAAAA1POyS9N0U3Oz0vLTAcAqV5q2A0AAAA=\n'),
      `VM015 10:7 base64, which cloud-init does not decode here, so it drops all of this`,
    ],
    [
      'broken YAML',
      userData('#cloud-config\nruncmd:\n  - [a, b\nusers: []\n'),
      'VM040 13:7 not YAML, so cloud-init may drop all of this: a [ that is not closed',
    ],
    ['a tab', userData('#cloud-config\nwrite_files:\n\t- path: /a\n'), `VM015 12:7 not YAML, ${drops}: a tab as indentation`],
    ['a list', userData('#cloud-config\n- a\n'), `VM015 11:7 a #cloud-config is a mapping of fields, ${drops}`],
    ['a tab at the end of a line', userData('#cloud-config\na: b\t\n'), `VM015 11:11 ${notPyYaml}: a tab outside of quotes`],
    ['a tab behind a colon', userData('#cloud-config\na:\tb\n'), `VM015 11:9 ${notPyYaml}: a tab outside of quotes`],
    ['a tab inside plain text', userData('#cloud-config\na: b\tc\n'), `VM015 11:10 ${notPyYaml}: a tab outside of quotes`],
    ['an asterisk', userData('#cloud-config\na: [*.log]\n'), `VM015 11:11 ${notPyYaml}: the alias *.log has no anchor before it`],
    ['a tag', userData('#cloud-config\na: !foo b\n'), `VM015 11:15 ${notPyYaml}: the tag !foo, which cloud-init does not know`],
    ['a second document', userData('#cloud-config\na: b\n---\nc: d\n'), `VM015 12:7 ${notPyYaml}: a second document begins here`],
    ['an impossible date', userData('#cloud-config\na: 2025-02-29\n'), `VM015 11:10 ${notPyYaml}: a date that does not exist`],
    ['a list as a key', userData('#cloud-config\n[a]: b\n'), `VM015 11:7 ${notPyYaml}: a key that is a list or a mapping`],
    [
      'a control character',
      '    userData: "#cloud-config\\na: b\\a\\n"\n',
      `VM015 9:15 ${notPyYaml}: the character U+0007 must not stand in YAML`,
    ],
    [
      'a carriage return alone',
      '    userData: "#cloud-config\\n# a\\rb\\n"\n',
      `VM040 9:15 an unusual line break (U+0085, U+2028, U+2029, or U+000D alone), so cloud-init may drop all of this`,
    ],
    ['an archive that is no list', userData('#cloud-config-archive\na: b\n'), `VM015 11:7 a #cloud-config-archive is a list, ${drops}`],
    [
      'a template without a header',
      userData('## template: jinja\na: b\n'),
      'VM040 11:7 no header that cloud-init knows, so it drops all of this',
    ],
    [
      'network',
      userData('#cloud-config\na: b\nnetwork: {version: 2}\n'),
      'VM040 12:7 cloud-init reads no network configuration from user data',
    ],
    [
      'users without default beside keys',
      `    sshAuthorizedKeys: ["ssh-ed25519 ${blob}"]\n    userData: |\n        #cloud-config\n        users:\n        - name: me\n`,
      'VM040 12:9 users without "default": there is no default user, so sshAuthorizedKeys let nobody in',
    ],
  ])('is said at its place: %s', (_what, cloudInit, says) => {
    expect(said(cloudInit)).toEqual([says])
  })

  it.each([
    ['a cloud-config', '#cloud-config\nusers: [default, me]\n'],
    ['one in capitals behind empty lines', '\n\n#CLOUD-CONFIG\na: b\n'],
    ['a comment behind the header', '#cloud-config by: me\na: b\n'],
    ['an empty one', '#cloud-config\n'],
    ['two equal keys and a tag', '#cloud-config\na: !!str 3\na: c\n'],
    ['tabs inside a block, quotes and a comment', '#cloud-config\na:\n- |\n  b\tc\n- "b\tc"\n# b\tc\n'],
    ['a leap day', '#cloud-config\na: 2024-02-29\n'],
    ['an archive', '#cloud-config-archive\n- "#!/bin/sh"\n'],
    ['a list that closes in the column of its key', '#cloud-config\na: [\n  b\n]\n'],
    ['users without default and without keys', '#cloud-config\nusers: [me]\n'],
    ['a script', '#!/bin/sh\necho "a: [b"\n'],
    ['an include', '#include\nhttps://x.example/\n'],
    ['a template', '## template: jinja\n#cloud-config\n{% if a %}\n'],
    ['several parts', 'Content-Type: multipart/mixed; boundary="x"\nMIME-Version: 1.0\n\n--x\n'],
    ['a boot hook', '#cloud-boothook\n#!/bin/sh\n'],
    ['a part handler', '#part-handler\ndef list_types(): return []\n'],
    ['PowerShell for Windows', '#ps1_sysnative\nwrite-host a\n'],
    ['nothing', ' \n'],
  ])('is not taken for %s', (_what, text) => {
    expect(said(`    userData: ${JSON.stringify(text)}\n`)).toEqual([])
    if (text.trim() !== '' && !text.startsWith('\n')) expect(said(userData(text))).toEqual([])
  })

  it('is a warning that leaves the VM valid where another program might read it', () => {
    const [document] = read('directory', 'web.yaml', new TextEncoder().encode(head + userData('version: v1alpha1\n')))
    expect(document).toMatchObject({ ok: true, warnings: [{ code: 'VM040' }] })
    expect(found(userData('version: v1alpha1\n'))[0]?.rendered).toMatch(/^warning\[VM040\]: /)
  })

  it('is found in every style of YAML, and with carriage returns', () => {
    const text = '#cloud-config\na: b\nnetwork: {}\n'
    const styles = (['BLOCK_LITERAL', 'QUOTE_DOUBLE'] as const).map((defaultStringType) =>
      stringify({ userData: text }, { defaultStringType, defaultKeyType: 'PLAIN' }).replaceAll(/^(?=.)/gm, '    '),
    )
    expect(styles.map((style) => found(style).map(({ line }) => line))).toEqual([[12], [9]])
    expect(found('    userData: >\n      #cloud-config\n\n      a: b\n\n      network: {}\n').map(({ line }) => line)).toEqual([9])
    const [issue] = read('directory', 'web.yaml', new TextEncoder().encode((head + userData(text)).replaceAll('\n', '\r\n'))).flatMap(
      (one) => ('warnings' in one ? (one.warnings ?? []) : []),
    )
    expect(issue).toMatchObject({ line: 12, column: 7 })
  })

  it('is judged at a bounded cost, whatever it holds', () => {
    const deep = `#cloud-config\n${'['.repeat(50_000)}`
    expect(said(`    userData: ${JSON.stringify(deep)}\n`)).toEqual([
      'VM040 9:15 not checked, and cloud-init may drop all of this: nested more than 64 levels of [ ] and { } deep',
    ])
  })
})

describe('a public key', () => {
  it.each([
    ['of no options', `ssh-ed25519 ${blob} me@host`],
    ['without a comment', `ssh-ed25519 ${blob}`],
    ['with options', `command="a \\"b c",no-pty ssh-ed25519 ${blob}`],
  ])('is taken %s', (_what, key) => {
    expect(said(`    sshAuthorizedKeys: [${JSON.stringify(key)}]\n`)).toEqual([])
  })

  it.each([
    ['a path', '~/.ssh/id_ed25519.pub', 'a path, not a public key'],
    ['another path', 'id_rsa.pub', 'a path, not a public key'],
    ['a private key', '-----BEGIN OPENSSH PRIVATE KEY-----\nb3BlbnNzaC1rZXktdjEAAAAA\n', 'a private key, not a public one'],
    ["a private key's body", 'b3BlbnNzaC1rZXktdjEAAAAA', 'a private key, not a public one'],
    ['PuTTY, private', 'PuTTY-User-Key-File-3: ssh-ed25519\nEncryption: none\n', "a private key in PuTTY's format, not a public key"],
    ['PuTTY, public', '---- BEGIN SSH2 PUBLIC KEY ----\nComment: "a"\n', 'a public key in the format of RFC 4716 (PuTTY)'],
    ['PEM', '-----BEGIN PUBLIC KEY-----\nMCow\n', 'a public key in PEM format'],
    ['a truncated key', `ssh-ed25519 ${blob.slice(0, 60)}`, 'the key is cut off, or has a mistake in it'],
    ['a key without its last byte', `ssh-ed25519 ${blob.slice(0, -2)}`, 'the key is cut off, or has a mistake in it'],
    ['a shortened key', 'ssh-ed25519 AAAA… me', 'the key is shortened, as in documentation'],
    ['another type', `ssh-rsa ${blob}`, 'the key itself is not of the type ssh-rsa that stands before it'],
    ['no type', `${blob} me`, 'the type of the key is missing before it'],
    ['no key', 'ssh-ed25519', 'the key is missing after ssh-ed25519'],
    ['a certificate', `ssh-ed25519-cert-v01@openssh.com ${blob}`, 'a certificate, which authorized_keys does not accept'],
    ['DSA', 'ssh-dss AAAAB3NzaC1kc3M=', 'a DSA key, which OpenSSH no longer accepts'],
    ['two keys', `ssh-ed25519 ${blob}\nssh-ed25519 ${blob}`, 'more than one line; an entry is one key'],
    ['something else', 'hello', 'not a public key in the format of OpenSSH'],
  ])('is not taken for one: %s', (_what, key, says) => {
    expect(said(`    sshAuthorizedKeys: [${JSON.stringify(key)}]\n`)).toEqual([`VM010 9:25 ${says}`])
  })
})

describe('the content of a public key', () => {
  const part = (bytes: readonly number[] | string): number[] => {
    const content = typeof bytes === 'string' ? [...Buffer.from(bytes)] : bytes
    return [0, 0, content.length >> 8, content.length & 255, ...content]
  }
  const key = (type: string, ...parts: (readonly number[] | string)[]): string =>
    `${type} ${Buffer.from([part(type), ...parts.map(part)].flat()).toString('base64')}`
  const bytes = (count: number, first = 1): number[] => [first, ...Array<number>(count - 1).fill(1)]

  it.each([
    ['ed25519', key('ssh-ed25519', bytes(32))],
    ['RSA of 1024 bits', key('ssh-rsa', [1, 0, 1], [0, ...bytes(128, 0x80)])],
    ['ECDSA', key('ecdsa-sha2-nistp521', 'nistp521', bytes(133, 4))],
    ['ed25519 of a token', key('sk-ssh-ed25519@openssh.com', bytes(32), 'ssh:')],
    ['ECDSA of a token', key('sk-ecdsa-sha2-nistp256@openssh.com', 'nistp256', bytes(65, 4), 'ssh:')],
  ])('is of its type: %s', (_what, line) => {
    expect(said(`    sshAuthorizedKeys: ["${line}"]\n`)).toEqual([])
  })

  it.each([
    ['a byte less', key('ssh-ed25519', bytes(31))],
    ['a part more', key('ssh-ed25519', bytes(32), 'x')],
    ['a small RSA key', key('ssh-rsa', [1, 0, 1], bytes(64, 0x80))],
    ['another curve', key('ecdsa-sha2-nistp256', 'nistp384', bytes(65, 4))],
    ['a compressed point', key('ecdsa-sha2-nistp256', 'nistp256', bytes(33, 2))],
    ['no application', key('sk-ssh-ed25519@openssh.com', bytes(32), '')],
  ])('is refused: %s', (_what, line) => {
    expect(said(`    sshAuthorizedKeys: ["${line}"]\n`)).toEqual([
      expect.stringMatching(/^VM010 9:25 (the key is cut off|an RSA key of 512 bits)/),
    ])
  })
})

describe('no excerpt shows', () => {
  const body = 'b3BlbnNzaC1rZXktdjEAAAAABG5vbmUAAAAEbm9uZQ'
  const pem = (indent: string): string =>
    ['-----BEGIN OPENSSH PRIVATE KEY-----', body, 'c2VjcmV0', '-----END OPENSSH PRIVATE KEY-----']
      .map((line) => `${indent}${line}\n`)
      .join('')

  it.each([
    ['a private key where a public one belongs', `    sshAuthorizedKeys:\n      - |\n${pem('        ')}`],
    ['one beside another mistake', `    cpus: 2 # -----BEGIN RSA PRIVATE KEY----- c2VjcmV0\n    memry: c\n`],
    [
      "one of PuTTY's",
      '    sshAuthorizedKeys:\n      - |\n        PuTTY-User-Key-File-3: ssh-ed25519\n        c2VjcmV0\n        Private-MAC: c2VjcmV0\n    memry: 1\n',
    ],
    ['a password beside a mistake in user data', userData('#cloud-config\npassword: c2VjcmV0\nruncmd: [a\nroot:c2VjcmV0\n')],
    ['a password beside a mistake elsewhere', `${userData('#cloud-config\npassword: c2VjcmV0\n')}    memry: 1\n`],
    ['a password in a file that is no YAML', `${userData('#cloud-config\npassword: c2VjcmV0\n')}    memry: [\n`],
    ['user data in one line', '    userData: "TOKEN c2VjcmV0"\n    memry: 1\n'],
    ['user data in a flow', '    { userData: "TOKEN c2VjcmV0", memry: 1 }\n'],
  ])('%s', (_what, cloudInit) => {
    const rendered = found(cloudInit).map((issue) => `${issue.message}\n${issue.rendered}`)
    expect(rendered.length).toBeGreaterThan(0)
    expect(rendered.join('\n')).not.toContain('c2VjcmV0')
    expect(rendered.join('\n')).not.toContain(body.slice(0, 30))
  })
})

describe('network data', () => {
  const found = (text: string): readonly string[] => networkDataFindings(text).map(({ severity, message }) => `${severity}: ${message}`)

  it.each([
    ['version 2', 'version: 2\nethernets: {lan: {dhcp4: true}}\n'],
    ['version 1', 'version: 1\nconfig: []\n'],
    ['below the key network', 'network:\n  version: 2\n'],
    ['JSON', '{"version": 2}'],
  ])('is accepted: %s', (_what, text) => {
    expect(found(text)).toEqual([])
  })

  it.each([
    ['no version', 'ethernets: {}\n', /^error: a network configuration is a mapping with version/],
    ['a version that nobody knows', 'version: 3\n', /^error: a network configuration is a mapping/],
    ['a version in quotes', 'version: "2"\n', /^error: a network configuration is a mapping/],
    ['a list', '- version: 2\n', /^error: a network configuration is a mapping/],
    ['nothing', '', /^error: a network configuration is a mapping/],
    ['no YAML', 'version: 2: 3\n', /^error: not YAML, so cloud-init drops all of this/],
    ['a tab', 'version:\t2\n', /^error: not YAML for cloud-init/],
  ])('is dropped by cloud-init: %s', (_what, text, wanted) => {
    expect(found(text)[0]).toMatch(wanted)
  })
})
