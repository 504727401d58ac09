import { describe, expect, it } from 'vitest'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import type { SourceDocument, SourceSnapshot } from '../../../src/api/manifest/source-documents.ts'
import { resolveClasses } from '../../../src/api/manifest/resolve-classes.ts'

const read = manifestReader()
const head = 'apiVersion: swarmvirt.dev/v1alpha1\n'
const rest = `  disks: [{ name: root, size: 1Gi, image: { source: images/a.qcow2 } }]
  networks: [{ name: lan, bridge: br0 }]
`

function machine(name: string, spec: string): string {
  return `${head}kind: VirtualMachine\nmetadata: { name: ${name} }\nspec:\n${spec}${rest}`
}

function vmClass(name: string, spec: string): string {
  return `${head}kind: VirtualMachineClass\nmetadata: { name: ${name} }\nspec:\n${spec}`
}

function snapshot(source: string, file: string, text: string): SourceSnapshot {
  return { source, complete: true, message: '', documents: read(source, file, new TextEncoder().encode(text)) }
}

function resolved(...texts: readonly string[]): readonly SourceDocument[] {
  return resolveClasses(texts.map((text, index) => snapshot('directory', `${index}.yaml`, text))).flatMap((one) => one.documents)
}

function said(documents: readonly SourceDocument[]): string[] {
  return documents.flatMap((one) =>
    one.ok ? [] : one.issues.map((issue) => `${issue.code} ${issue.file}:${issue.line}:${issue.column} ${issue.message}`),
  )
}

describe('a VM of a class', () => {
  const small = vmClass('small', '  cpu: { cores: 2 }\n  memory: 1Gi\n  updatePolicy: Restart\n')

  it('has what the class gives, and its own where it says so', () => {
    const [web, db] = resolved(small, machine('web', '  class: small\n'), machine('db', '  class: small\n  memory: 4Gi\n'))
    expect(web?.ok && web.vm.spec).toMatchObject({ cpu: { cores: 2 }, memory: 1024 ** 3, updatePolicy: 'Restart', class: 'small' })
    expect(db?.ok && db.vm.spec).toMatchObject({ cpu: { cores: 2 }, memory: 4 * 1024 ** 3 })
  })

  it('has another generation when the class is edited, and the same when only another class is', () => {
    const of = (...texts: string[]): unknown => {
      const [web] = resolved(machine('web', '  class: small\n'), ...texts)
      return web?.ok === true ? web.generation : undefined
    }
    const before = of(small, vmClass('large', '  memory: 8Gi\n'))
    expect(of(small, vmClass('large', '  memory: 9Gi\n'))).toBe(before)
    expect(of(vmClass('small', '  memory: 2Gi\n'))).not.toBe(before)
  })

  it('takes its class from any source', () => {
    const snapshots = [snapshot('directory', 'web.yaml', machine('web', '  class: small\n')), snapshot('configs', 'sizes', small)]
    expect(resolveClasses(snapshots)[0]?.documents[0]?.ok).toBe(true)
  })

  it('reports a missing class, an invalid class, and a class without memory at the class field', () => {
    const web = machine('web', '  class: small\n')
    expect(said(resolved(web))).toEqual(['VM014 0.yaml:5:10 there is no VirtualMachineClass "small"'])
    expect(said(resolved(web, vmClass('small', '  memory: much\n')))).toEqual([
      'VM014 0.yaml:5:10 the VirtualMachineClass "small" has errors (1.yaml:1)',
      'VM010 1.yaml:5:11 "much" is not a quantity of bytes',
    ])
    expect(said(resolved(web, vmClass('small', '  cpu: { cores: 2 }\n')))).toEqual([
      'VM011 0.yaml:5:10 with class "small": field "spec.memory" is missing',
    ])
    expect(resolved(web)[0]).toMatchObject({ name: 'web' })
  })

  it('shows its errors with lines and caret, as if they had been found when the file was read', () => {
    const [web] = resolved(machine('web', '  class: smal\n'), small)
    expect(web?.ok === false && web.issues[0]?.rendered).toBe(
      [
        'error[VM014]: there is no VirtualMachineClass "smal"',
        ' --> 0.yaml:5:10',
        '4 | spec:',
        '5 |   class: smal',
        '  |          ^^^^',
        '6 |   disks: [{ name: root, size: 1Gi, image: { source: images/a.qcow2 } }]',
        'help: add it to the manifests; there are small',
      ].join('\n'),
    )
  })

  it('reports its own errors whatever the class is', () => {
    expect(said(resolved(machine('web', '  class: small\n  cpus: 2\n'), small))).toEqual([expect.stringMatching(/^VM012 0.yaml:6:3 /)])
  })

  it('uses the first of two classes with one name, and reports the second', () => {
    const documents = resolved(vmClass('small', '  memory: 1Gi\n'), vmClass('small', '  memory: 2Gi\n'), machine('web', '  class: small\n'))
    expect(documents.find((one) => one.ok)).toMatchObject({ vm: { spec: { memory: 1024 ** 3 } } })
    expect(said(documents)).toEqual([expect.stringMatching(/^VM030 1.yaml:1:1 class "small" is declared twice; 0.yaml:1 counts/)])
  })

  it('is what an older config holds while the newest is wrong, class and all', () => {
    const older = snapshot('configs', 'a', machine('web', '  class: small\n')).documents[0]
    const newer = snapshot('configs', 'b', machine('web', '  cpus: 2\n')).documents[0]
    if (newer === undefined || newer.ok || older === undefined || !('className' in older)) throw new Error('not what was meant')
    const documents = [{ ...newer, standIn: older }]
    const [whole] = resolveClasses([{ source: 'configs', complete: true, message: '', documents }, snapshot('directory', 's.yaml', small)])
    expect(whole?.documents[0]).toMatchObject({ ok: false, standIn: { vm: { spec: { memory: 1024 ** 3 } } } })
  })
})

describe('a class', () => {
  it.each([
    ['a field that only a VM has', vmClass('small', '  runStrategy: Halted\n'), /^VM012 0.yaml:5:3 unknown field "runStrategy"/],
    ['a typo', vmClass('small', '  memry: 1Gi\n'), /^VM012 .*memry/],
    ['a field that is not built yet', vmClass('small', '  placement: {}\n'), /^VM020 .*spec.placement is not supported yet/],
    ['no spec', `${head}kind: VirtualMachineClass\nmetadata: { name: small }\n`, /^VM011 .*"spec" is missing/],
  ])('is refused with %s', (_what, text, wanted) => {
    expect(said(resolved(text))).toEqual([expect.stringMatching(wanted)])
  })

  it('helps with the fields of a class, not of a VM', () => {
    const [document] = resolved(vmClass('small', '  memry: 1Gi\n'))
    expect(document?.ok === false && document.issues[0]?.help).toBe('did you mean "memory"?')
  })
})

describe('a List', () => {
  const entry = (name: string, memory: string): string =>
    machine(name, `  memory: ${memory}\n`)
      .trimEnd()
      .split('\n')
      .map((line, index) => `${index === 0 ? '  - ' : '    '}${line}`)
      .join('\n')

  it('is its entries, each at its own line', () => {
    const documents = resolved(`apiVersion: v1\nkind: List\nitems:\n${entry('web', '1Gi')}\n${entry('db', '2Gi')}\n`)
    expect(documents.map((one) => one.ok && [one.vm.metadata.name, one.origin.line])).toEqual([
      ['web', 4],
      ['db', 11],
    ])
  })

  it('points at the mistake inside an entry, and takes the others', () => {
    const documents = resolved(`${head}kind: List\nitems:\n${entry('web', 'much')}\n${entry('db', '2Gi')}\n`)
    expect(said(documents)).toEqual([expect.stringMatching(/^VM010 0.yaml:8:15 "much"/)])
    expect(documents.filter((one) => one.ok)).toHaveLength(1)
  })

  it.each([
    ['another List', 'apiVersion: v1\nkind: List\nitems: [{ apiVersion: v1, kind: List, items: [] }]\n', /^VM005/],
    ['no items', 'apiVersion: v1\nkind: List\n', /^VM011 .*a List needs items/],
    ['a field it does not have', 'apiVersion: v1\nkind: List\nitems: []\nspec: {}\n', /^VM012 .*"spec"/],
    ['a stranger', 'apiVersion: v1\nkind: List\nitems: [{ apiVersion: v1, kind: Pod }]\n', /^VM005 .*apiVersion is "v1"/],
  ])('is refused with %s', (_what, text, wanted) => {
    expect(said(resolved(text))).toEqual([expect.stringMatching(wanted)])
  })
})
