/** Our judgement of user data beside cloud-init's own: the schema command, and what its handlers take at boot. */
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { beforeAll, describe, expect, it } from 'vitest'
import { parse } from 'yaml'
import { manifestReader } from '../../src/adapters/manifest/manifest-yaml.ts'
import { cloudInitPython } from '../lab/cloud-init.ts'

type Verdict = `${'valid' | 'invalid' | 'skipped'} ${'kept' | 'dropped'}`
type Row = readonly [what: string, given: string | { readonly yaml: string }, cloudInit: Verdict, we: string]

const config = (text: string): string => `#cloud-config\n${text}`
const program = readFileSync(join(import.meta.dirname, 'cloud-init/judge.py'), 'utf8')
const head = `apiVersion: swarmvirt.dev/v1alpha1
kind: VirtualMachine
metadata: { name: web }
spec:
  memory: 512Mi
  disks: [{ name: root, size: 1Gi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, bridge: br0 }]
  cloudInit:
    sshAuthorizedKeys: ["ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIGqM6Q0i7Kt5i0v8v0R3k7v7m0bq0o6v8Qw0t6wWm3xk"]
    userData: `
const read = manifestReader()

/** "silent", or the codes of what we say. */
function weSay(yaml: string): string {
  const documents = read('directory', 'web.yaml', new TextEncoder().encode(head + yaml))
  const issues = documents.flatMap((one) => [...(one.ok ? [] : one.issues), ...('warnings' in one ? (one.warnings ?? []) : [])])
  return issues.map(({ code }) => code).join(' ') || 'silent'
}

const inYaml = (given: Row[1]): string => (typeof given === 'string' ? `${JSON.stringify(given)}\n` : given.yaml)

/** As the guest gets it. */
function bytesOf(given: Row[1]): Buffer {
  const text: unknown = typeof given === 'string' ? given : parse(given.yaml)
  return typeof text === 'string' ? Buffer.from(text) : Buffer.from(text as Uint8Array)
}

const wholeBlock = '|\n      #cloud-config\n      package_update: true\n'
const rows: readonly Row[] = [
  ['a good one', { yaml: wholeBlock }, 'valid kept', 'silent'],
  ['a good one in capitals, behind empty lines', '\n \n#CLOUD-CONFIG\npackage_update: true\n', 'valid kept', 'silent'],
  ['carriage returns', '#cloud-config\r\npackage_update: true\r\n', 'valid kept', 'silent'],

  // The header.
  ['no header', 'package_update: true\n', 'invalid dropped', 'VM040'],
  ['a late header', '# mine\n#cloud-config\npackage_update: true\n', 'invalid dropped', 'VM015'],
  ['--- first', '---\n#cloud-config\npackage_update: true\n', 'invalid dropped', 'VM015'],
  ['a misspelt header', '#cloud-confg\npackage_update: true\n', 'invalid dropped', 'VM015'],
  ['a space in the header', '# cloud-config\npackage_update: true\n', 'invalid dropped', 'VM015'],
  ['a byte order mark before the header', { yaml: '"\\uFEFF#cloud-config\\npackage_update: true\\n"\n' }, 'invalid dropped', 'VM015'],
  ['a folded scalar', { yaml: '>\n      #cloud-config\n      package_update: true\n' }, 'invalid dropped', 'VM015'],
  ['base64', btoa(config('package_update: true\n')), 'invalid dropped', 'VM015'],
  ['a job of Upstart', '#upstart-job\nstart on x\n', 'invalid dropped', 'VM040'],

  // YAML that nobody reads, and YAML that only PyYAML does not read, or only PyYAML reads.
  ['a tab as indentation', config('write_files:\n\t- path: /a\n'), 'invalid dropped', 'VM015'],
  ['a tab behind a colon', config('hostname:\tweb\n'), 'invalid dropped', 'VM015'],
  ['a tab at the end of a line', config('hostname: web\t\n'), 'invalid dropped', 'VM015'],
  ['a tab on an empty line', config('package_update: true\n\t\nhostname: web\n'), 'invalid dropped', 'VM015'],
  ['a tab inside plain text', config('hostname: w\teb\n'), 'invalid dropped', 'VM015'],
  ['a tab in JSON', config('{\n\t"package_update": true\n}\n'), 'invalid dropped', 'VM015'],
  ['tabs inside a block, quotes and a comment', config('runcmd:\n- |\n  a\tb\n  \tc\n- "a\tb"\n# a\tb\n'), 'valid kept', 'silent'],
  ['an unclosed bracket', config('runcmd:\n  - [a, b\npackage_update: true\n'), 'invalid dropped', 'VM040'],
  ['a bracket that closes in the column of its key', config('runcmd: [\n  ls\n]\n'), 'valid kept', 'silent'],
  ['quotes that go on in the first column', config('runcmd: ["a\nb"]\n'), 'valid kept', 'VM040'],
  ['a text that begins with *', config('packages: [*.log]\n'), 'invalid dropped', 'VM015'],
  ['a text that begins with !', config('runcmd: [!test a]\n'), 'invalid dropped', 'VM015'],
  ['a text that begins with %', config('hostname: %web\n'), 'invalid dropped', 'VM015'],
  ['a tag of YAML', config('hostname: !!str 3\n'), 'valid kept', 'silent'],
  ['a lone =', config('runcmd: [[a, =, b]]\n'), 'invalid dropped', 'VM015'],
  ['a date that does not exist', config('hostname: 2025-02-29\n'), 'invalid dropped', 'VM015'],
  ['a date', config('runcmd: [[echo, 2024-02-29]]\n'), 'invalid kept', 'silent'],
  ['merge keys', config('a: &a {b: c}\nd: {<<: *a}\n'), 'invalid kept', 'silent'],
  ['a merge key without a mapping', config('a: {<<: 3}\n'), 'invalid dropped', 'VM015'],
  ['an anchor given twice', config('packages: [&a b, &a c]\n'), 'invalid dropped', 'VM015'],
  ['an anchor with a dot', config('packages: [&a.b b]\n'), 'invalid dropped', 'VM015'],
  ['an anchor inside itself', config('a: &a [*a]\n'), 'invalid kept', 'silent'],
  ['equal keys', config('hostname: a\nhostname: b\n'), 'valid kept', 'silent'],
  ['a list as a key', config('[a, b]: c\n'), 'invalid dropped', 'VM015'],
  ['a key of 1,100 characters', config(`${'k'.repeat(1_100)}: b\n`), 'invalid dropped', 'VM015'],
  ['a line of 100,000 characters', config(`hostname: ${'a'.repeat(100_000)}\n`), 'valid kept', 'silent'],
  ['a second document', config('package_update: true\n---\nhostname: b\n'), 'invalid dropped', 'VM015'],
  ['a document that ends', config('package_update: true\n...\n'), 'valid kept', 'silent'],
  ['a control character', config('hostname: a\u0007\n'), 'invalid dropped', 'VM015'],
  ['a line break of Unicode', config('hostname: a\u2028b\n'), 'invalid dropped', 'VM040'],
  ['a line break of Unicode that does no harm', config('hostname: "a\u2028 b"\n'), 'valid kept', 'VM040'],
  ['a carriage return alone', config('# a\rb\npackage_update: true\n'), 'invalid dropped', 'VM040'],
  ['many levels', config(`a: ${'['.repeat(5_000)}`), 'invalid dropped', 'VM040'],
  ['Latin-1', { yaml: `!!binary ${Buffer.from(config('hostname: é\n'), 'latin1').toString('base64')}\n` }, 'invalid dropped', 'VM002'],
  ['gzip', { yaml: `!!binary ${gzipSync(config('hostname: a\n')).toString('base64')}\n` }, 'invalid kept', 'VM002'],

  // Valid cloud-configs. The schema is cloud-init's own: swarmvirt does not check fields, nor the modules that use them.
  ['a list', config('- a\n'), 'invalid dropped', 'VM015'],
  ['a text', config('a\n'), 'invalid dropped', 'VM015'],
  ['a number', config('3\n'), 'invalid dropped', 'VM015'],
  ['a field without a space behind its colon', config('hostname:web\n'), 'invalid dropped', 'VM015'],
  ['an unknown field', config('hostnam: a\n'), 'invalid kept', 'silent'],
  ['a field of another type', config('packages: 3\n'), 'invalid kept', 'silent'],
  ['network', config('network: {version: 2}\n'), 'invalid kept', 'VM040'],
  ['users without default', config('users: [{name: me}]\n'), 'valid kept', 'VM040'],
  // Nothing is lost where there is nothing.
  ['nothing below the header', config(''), 'invalid dropped', 'silent'],
  ['nothing', '', 'skipped dropped', 'silent'],

  // Other kinds.
  ['a script', '#!/bin/sh\necho "a: [b"\n', 'skipped kept', 'silent'],
  ['a boot hook', '#cloud-boothook\n#!/bin/sh\n', 'skipped kept', 'silent'],
  ['an include', '#include\nhttps://x.example/\n', 'skipped kept', 'silent'],
  ['a part handler', '#part-handler\ndef list_types(): return []\n', 'skipped kept', 'silent'],
  ['a JSON patch', '#cloud-config-jsonp\n[{"op": "add", "path": "/a", "value": 1}]\n', 'skipped kept', 'silent'],
  ['an archive', '#cloud-config-archive\n- "#!/bin/sh"\n- {type: text/cloud-config, content: "a: b"}\n', 'skipped kept', 'silent'],
  ['an archive that is a mapping', '#cloud-config-archive\na: b\n', 'skipped dropped', 'VM015'],
  ['an archive that is not YAML', '#cloud-config-archive\n- "a" b\n', 'skipped dropped', 'VM015'],
  ['a template', '## template: jinja\n#cloud-config\nhostname: {{ v1.local_hostname }}\n', 'valid kept', 'silent'],
  ['a template of a template', '## template: jinja\n{% if true %}#cloud-config\n{% endif %}\nhostname: a\n', 'valid kept', 'silent'],
  ['a template without a header', '## template: jinja\nhostname: a\n', 'invalid dropped', 'VM040'],
  ['a template with a late header', '## template: jinja\n# a\n#cloud-config\nhostname: a\n', 'invalid dropped', 'VM015'],
  ['a misspelt template', '## template:jinja\n#cloud-config\nhostname: a\n', 'invalid dropped', 'VM015'],
  [
    'several parts',
    'Content-Type: multipart/mixed; boundary="x"\nMIME-Version: 1.0\n\n--x\nContent-Type: text/x-shellscript\n\n#!/bin/sh\n--x--\n',
    'invalid kept',
    'silent',
  ],
  ['a cloud-config that writes a mail', config('write_files:\n- path: /a\n  content: |\n    MIME-Version: 1.0\n'), 'valid kept', 'silent'],
  // cloudbase-init in a Windows guest runs it.
  ['PowerShell', '#ps1\nwrite-host a\n', 'invalid dropped', 'silent'],
]

/** Rows that cloud-init drops and we pass over, for the reason beside them in the table. */
const passedOver = ['nothing below the header', 'nothing', 'PowerShell']

let verdicts: readonly string[]
beforeAll(async () => {
  const input = JSON.stringify(rows.map(([, given]) => bytesOf(given).toString('base64')))
  verdicts = JSON.parse(await cloudInitPython(program, input)) as readonly string[]
})

describe('user data, by cloud-init and by us', () => {
  it('is judged by cloud-init, all of it', () => {
    expect(verdicts).toHaveLength(rows.length)
  })

  it.each(rows.map((row, index) => [row[0], index, row] as const))('%s', (_what, index, [, given, cloudInit, we]) => {
    expect({ cloudInit: verdicts[index], we: weSay(inYaml(given)) }).toEqual({ cloudInit, we })
  })

  it('is not dropped silently, and not rejected if cloud-init accepts it', () => {
    const judged = rows.map(([what, given], index) => ({ what, cloudInit: verdicts[index] ?? '', we: weSay(inYaml(given)) }))
    const silent = judged.filter(({ cloudInit, we }) => cloudInit.endsWith('dropped') && we === 'silent')
    expect(silent.map(({ what }) => what)).toEqual(passedOver)
    expect(judged.filter(({ cloudInit, we }) => cloudInit.endsWith('kept') && we === 'VM015')).toEqual([])
  })
})
