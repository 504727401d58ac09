import { whyNoPublicKey } from '../../api/manifest/public-key.ts'
import { apiVersion, kind } from '../../api/manifest.ts'
import { vmNamePattern } from '../../api/names.ts'
import { UsageError } from '../output/outcome.ts'

/** The schema's limit. */
const maxKeys = 64
const maxKeyLength = 16_384

/**
 * Creates a manifest with the field descriptions from `describe` as comments, so that it always matches the schema. Throws UsageError for an invalid
 * VM name.
 */
export function create(name: string, keyLines: readonly string[], describe: (path: string) => string, className?: string): string {
  if (!vmNamePattern.test(name)) throw new UsageError(`invalid VM name "${name}". ${describe('metadata.name')}`)
  if (className !== undefined && !vmNamePattern.test(className)) {
    throw new UsageError(`invalid class name "${className}". ${describe('VirtualMachineClass.metadata.name')}`)
  }
  const about = (indent: number, path: string): string => `${' '.repeat(indent)}# ${describe(path)}`
  const lines = [
    `# Check this file: docker vm validate ${name}.yaml`,
    `# Run the VM:      docker vm apply -f ${name}.yaml, then docker vm ls`,
    '# About a field:   docker vm explain spec.networks.bridge',
    '# In editors:      docker vm schema > swarmvirt.schema.json, then add this first line: # yaml-language-server: $schema=swarmvirt.schema.json',
    `apiVersion: ${apiVersion}`,
    `kind: ${kind}`,
    'metadata:',
    about(2, 'metadata.name'),
    `  name: ${plainOrQuoted(name)}`,
    'spec:',
    ...machine(about, className),
    ...disk(about),
    ...network(about),
    ...guest(about, authorizedKeys(keyLines)),
  ]
  return `${lines.join('\n')}\n`
}

type About = (indent: number, path: string) => string

function machine(about: About, className: string | undefined): string[] {
  const sizes = ['  cpu:', about(4, 'spec.cpu.cores'), '    cores: 1', about(2, 'spec.memory'), '  memory: 1Gi']
  return [
    about(2, 'spec.runStrategy'),
    '  runStrategy: Always',
    ...(className === undefined ? sizes : [about(2, 'spec.class'), `  class: ${plainOrQuoted(className)}`]),
    about(2, 'spec.accelerator'),
    '  accelerator: auto',
  ]
}

function disk(about: About): string[] {
  return [
    about(2, 'spec.disks'),
    '  disks:',
    '    - name: root',
    `  ${about(4, 'spec.disks.size')}`,
    '      size: 10Gi',
    `  ${about(4, 'spec.disks.image')}`,
    '      image:',
    about(8, 'spec.disks.image.source'),
    "        # Any cloud image will do; Debian's are at https://cloud.debian.org/images/cloud/",
    '        source: images/debian-13.qcow2',
    about(8, 'spec.disks.image.sha256'),
    '        # sha256: 64 hex digits, as sha256sum prints them',
  ]
}

function network(about: About): string[] {
  return [
    about(2, 'spec.networks'),
    '  networks:',
    '    - name: lan',
    about(6, 'spec.networks.bridge'),
    '      bridge: br0',
    about(6, 'spec.networks.mac'),
    '      mac: auto',
  ]
}

function guest(about: About, keys: readonly string[]): string[] {
  return [
    about(2, 'spec.cloudInit'),
    '  cloudInit:',
    about(4, 'spec.cloudInit.sshAuthorizedKeys'),
    ...(keys.length === 0
      ? ['    # No key found in ~/.ssh; create one with ssh-keygen.', '    sshAuthorizedKeys: []']
      : ['    sshAuthorizedKeys:', ...keys.map((key) => `      - ${JSON.stringify(key)}`)]),
    about(4, 'spec.cloudInit.userData'),
    '    # userData: |',
    '    #   #cloud-config',
    '    #   package_update: true',
    about(2, 'spec.readiness'),
    '  # readiness: { tcp: 22 }',
  ]
}

/** Some YAML parsers read certain names as numbers or booleans. */
function plainOrQuoted(name: string): string {
  return /^(?:true|false|null|yes|no|on|off|y|n|[0-9].*)$/.test(name) ? `"${name}"` : name
}

/** Plain public keys only: no comments, and no certificates, which do not belong in authorized_keys. */
function authorizedKeys(lines: readonly string[]): readonly string[] {
  const keys = lines.map((line) => line.trim()).filter((line) => whyNoPublicKey(line) === undefined)
  return [...new Set(keys)].filter((key) => key.length <= maxKeyLength && !/\p{Cc}/u.test(key)).slice(0, maxKeys)
}
