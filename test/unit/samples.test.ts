import { readdirSync, readFileSync } from 'node:fs'
import { dirname, join, relative } from 'node:path'
import { parseAllDocuments } from 'yaml'
import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../src/adapters/manifest/manifest-yaml.ts'
import { resolveClasses } from '../../src/api/manifest/resolve-classes.ts'
import { schemaErrors, schemaFile } from '../schema/editor-schema.ts'

const directory = join(import.meta.dirname, '../../manifests')
const files = readdirSync(directory).filter((file) => file.endsWith('.yaml'))
const read = manifestReader()

function snapshot(file: string) {
  const documents = read('directory', file, readFileSync(join(directory, file)))
  return { source: 'directory', complete: true, message: '', documents }
}

describe('the samples', () => {
  it('show what works: a reservation, two networks, NAT, cloud-init, classes, readiness, several disks, a List and a VM that is off', () => {
    expect(files).toEqual(
      expect.arrayContaining(
        [
          'bridge-options',
          'cloud-init',
          'direct',
          'classes',
          'disks',
          'halted',
          'hello',
          'list',
          'readiness',
          'reserved-address',
          'static-address',
          'two-networks',
          'user-network',
        ].map((name) => `${name}.yaml`),
      ),
    )
  })

  it.each(files)('%s begins with the line for editors and says what it shows', (file) => {
    const [first, second] = readFileSync(join(directory, file), 'utf8').split('\n')
    const found = /^# yaml-language-server: \$schema=(\S+)$/.exec(first ?? '')?.[1] ?? ''
    expect(relative(join(directory, found), schemaFile)).toBe('')
    expect(dirname(found)).not.toMatch(/^\//)
    expect(second).toMatch(/^# [A-Z]/)
  })

  it.each(files)('%s is valid to the reader, and to the JSON Schema', (file) => {
    const documents = resolveClasses([snapshot(file)]).flatMap((one) => one.documents)
    expect(documents.flatMap((one) => (one.ok ? [] : one.issues.map((issue) => issue.rendered)))).toEqual([])
    expect(documents).not.toEqual([])
    const parsed = parseAllDocuments(readFileSync(join(directory, file), 'utf8')).map((one) => one.toJS() as unknown)
    expect(parsed.flatMap(schemaErrors)).toEqual([])
  })

  it('can stand in one directory: no name of a VM or class is there twice', () => {
    const documents = resolveClasses(files.map(snapshot)).flatMap((one) => one.documents)
    const names = documents.map((one) => (one.ok ? one.vm.metadata.name : `wrong: ${one.name ?? ''}`))
    expect(names.filter((name, index) => name.startsWith('wrong') || names.indexOf(name) !== index)).toEqual([])
  })
})
