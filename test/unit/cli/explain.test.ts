import { describe, expect, it } from 'vitest'
import { fieldSuggester } from '../../../src/adapters/manifest/suggest.ts'
import { machineAbout } from '../../../src/api/manifest/fields.ts'
import { explainer } from '../../../src/cli/offline/explain.ts'
import { runCli } from './run-cli.ts'

const { explain, describe: describeField } = explainer(fieldSuggester())

/** Every field that a page lists, and all of theirs. */
function everyField(path: string): string[] {
  const list = explain(path).split('fields:\n')[1]?.trimEnd().split('\n') ?? []
  const names = list.filter((line) => !line.includes('not supported yet')).map((line) => line.trim().split(' ')[0] ?? '')
  return names.map((name) => (path === '' ? name : `${path}.${name}`)).flatMap((inner) => [inner, ...everyField(inner)])
}

describe('explain', () => {
  it('describes every field of the schema', () => {
    const fields = everyField('')
    expect(fields).toContain('spec.disks.image.source')
    expect(fields).toContain('spec.readiness.tcp')
    expect(fields.filter((field) => describeField(field) === '')).toEqual([])
  })

  const later = [...machineAbout()].flatMap(([path, about]) => (about.notYet === true ? [path] : []))

  it.each(later)('says of %s that it is not supported yet, and so does the page of its parent', (name) => {
    const path = name.replaceAll('.*', '')
    expect(explain(path)).toMatch(/: not supported yet\n\n {2}\S/)
    expect(explain(path.slice(0, path.lastIndexOf('.')))).toMatch(new RegExp(`^ {2}${path.split('.').at(-1)} +not supported yet`, 'm'))
  })

  it('says of a field below one that is not supported yet that the upper one is not', () => {
    expect(explain('spec.placement.node')).toContain('spec.placement: not supported yet')
  })

  it.each(['spec.networks.mac', 'spec.networks[].mac', 'spec.networks[0].mac', 'spec.networks.*.mac', 'spec.networks.0.mac'])(
    'takes %s for the field of every entry, and gives its default',
    (path) => expect(explain(path)).toMatch(/^spec\.networks\[\]\.mac\n[^]*type +auto or string, for example 52:54[^]*default +auto\n/),
  )

  it('gives type, bounds, default and whether a field is required', () => {
    expect(explain('spec.cpu.cores')).toMatch(/type +integer\n +default +1\n +minimum +1\n +maximum +256\n +required +no\n/)
    expect(explain('spec.memory')).toMatch(/type +quantity \(bytes, [^)]+\)\n +minimum +32Mi\n +required +yes, unless its class gives it\n/)
    expect(explain('spec.disks')).toMatch(/entries +1 to 16\n +required +yes\n/)
    expect(explain('spec.runStrategy')).toMatch(/values +Always, Halted, RerunOnFailure, Once, Manual\n +default +Always\n/)
  })

  it('shows the effect of an edit, also if only the parent field has one', () => {
    expect(explain('spec.memory')).toMatch(/edit +restart, applies when the VM is restarted\n/)
    expect(explain('spec.disks.image.sha256')).toMatch(/edit +destroys-data, /)
    expect(
      [...machineAbout().keys()].filter((path) => path.startsWith('spec.')).map((path) => explain(path.replaceAll('.*', ''))),
    ).toSatisfy((pages: string[]) => pages.every((page) => /^ {2}edit {8}\w|: not supported yet\n/m.test(page)))
  })

  it('explains a class by its kind, and takes the kind of a VM as well', () => {
    expect(explain('VirtualMachineClass')).toMatch(/^VirtualMachineClass\n[^]*fields:\n {2}apiVersion/)
    expect(explain('VirtualMachineClass.spec')).not.toMatch(/^ {2}disks/m)
    expect(explain('VirtualMachineClass.spec.memory')).toMatch(/^VirtualMachineClass\.spec\.memory\n[^]*required +no\n/)
    expect(explain('VirtualMachine.spec.disks')).toBe(explain('spec.disks'))
    expect(() => explain('VirtualMachineClass.spec.disks')).toThrow('no field "disks" in VirtualMachineClass.spec')
  })

  it('says how an image is written, and not the pattern that judges it', () => {
    expect(explain('spec.disks.image.source')).toMatch(/type +string, for example images\/debian-13\.qcow2\n/)
    expect(explain('spec.disks.image.source')).not.toContain('pattern')
  })

  it('asks for none of the fields of which one is chosen', () => {
    expect(explain('spec.readiness.ping')).toMatch(/required +no/)
  })

  it('as a program exits with 0, and with 2 and a suggestion for a field that does not exist', async () => {
    expect(await runCli(['explain', 'spec.networks.bridge'])).toMatchObject({ exit: 0, err: '' })
    const wrong = await runCli(['explain', 'spec.networks.brige'])
    expect(wrong).toMatchObject({ exit: 2, out: '', err: expect.stringContaining('did you mean "bridge"?') as string })
    // Deeper than the schema, and names that every object has.
    expect((await runCli(['explain', 'spec.memory.x'])).exit).toBe(2)
    expect((await runCli(['explain', 'constructor'])).exit).toBe(2)
  })
})
