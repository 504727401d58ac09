import { describe, expect, it } from 'vitest'
import type { SourcesView, VmView } from '../../../src/api/wire/controller-api.ts'
import { confirmRemoval } from '../../../src/cli/inspect/confirm-removal.ts'
import { filterOf, nodeFilters, vmFilters } from '../../../src/cli/output/filters.ts'
import { nodeShape, vmShape } from '../../../src/cli/output/columns.ts'
import { type FormOptions, formOf, shown } from '../../../src/cli/output/views.ts'
import { watchVms } from '../../../src/cli/inspect/watch.ts'
import type { VmChange } from '../../../src/ports/controller-api.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { aNode, aVm } from './views.ts'

const nowMs = Date.parse('2026-01-02T00:00:00.000Z')
const yaml = (value: unknown): string => `yaml of ${JSON.stringify(value)}\n`
const web = aVm('web', { labels: { app: 'web', tier: 'a' } })
const database = aVm('database', { phase: 'Pending', ready: 'False', node: '', message: 'no\u001B[31m node' })

function text(options: FormOptions, vms: readonly VmView[] = [database, web]): string {
  return shown(
    formOf(
      vmShape(() => nowMs),
      options,
      yaml,
    ),
    vms,
    { vms },
  )
}

describe('--format', () => {
  it.each([
    ['{{.Name}}', 'database\nweb\n'],
    [String.raw`{{.Name}}\t{{ .Phase }}\n`, 'database\tPending\n\nweb\tReady\n\n'],
    ['{{json .Message}} on {{.Node}}', '"no\\u001b[31m node" on \n"" on n1\n'],
    ['{{.Message}}', 'no [31m node\n\n'],
    ['{{.Labels}}', '\napp=web,tier=a\n'],
    ['{{json .}}', `${JSON.stringify(database)}\n${JSON.stringify(web)}\n`],
    ['json', `${JSON.stringify(database)}\n${JSON.stringify(web)}\n`],
    [
      String.raw`table {{.Name}}\t{{.MAC}}\t{{.Node}}`,
      'NAME       MAC                 NODE\ndatabase   52:54:00:00:00:01   -\nweb        52:54:00:00:00:01   n1\n',
    ],
    ['', '\n\n'],
  ])('%s gives what docker would', (format, expected) => {
    expect(text({ format })).toBe(expected)
  })

  it('table is the table', () => {
    expect(text({ format: 'table' })).toBe(text({}))
  })

  it.each([
    ['{{.Nam}}', 'there is no field ".Nam"; there are .Name, .Phase'],
    ['{{.}}', 'there is no field "."'],
    ['{{range .}}x{{end}}', '{{range .}} is not'],
    ['{{.Name | upper}}', 'is not {{.FIELD}}'],
    ['{{.Name', 'without }}'],
    ['{{constructor}}', 'is not'],
    ['{{.constructor}}', 'there is no field'],
  ])('%s is refused, with what there is', (format, message) => {
    expect(() => text({ format })).toThrow(message)
  })

  it('stands alone', () => {
    expect(() => text({ format: 'json', output: 'json' })).toThrow('one of')
    expect(() => text({ quiet: true, output: 'json' })).toThrow('one of')
  })

  it('knows the fields of nodes', () => {
    const form = formOf(nodeShape, { format: '{{.Name}} {{.ID}} {{.Capable}}' }, yaml)
    expect(shown(form, [aNode('n1', { 'vm-capable': 'true' })], {})).toBe('n1 id-n1 true\n')
  })
})

describe('--filter', () => {
  const names = (...given: string[]): string[] => [web, database].filter(filterOf(given, vmFilters)).map((vm) => vm.name)

  it.each([
    [['name=w'], ['web']],
    [
      ['name=w', 'name=data'],
      ['web', 'database'],
    ],
    [['name=w', 'phase=pending'], []],
    [['phase=ready'], ['web']],
    [['node=n1'], ['web']],
    [['ready=false'], ['database']],
    [
      ['ready=false', 'ready=true'],
      ['web', 'database'],
    ],
    [['ready=unknown'], []],
    [['label=app'], ['web']],
    [['label=app=web', 'label=tier=a'], ['web']],
    [['label=app=web', 'label=tier=b'], []],
    [['label=toString'], []],
  ])('%j keeps %j', (given, expected) => {
    expect(names(...given)).toEqual(expected)
  })

  it.each(['name', '=x', 'name=', 'constructor=x', 'colour=red', 'ready=maybe'])('%s is refused', (given) => {
    expect(() => names(given)).toThrow(/--filter/)
  })

  it('calls a VM whose readiness nobody knows unknown', () => {
    expect([{ ...web, conditions: [] }].filter(filterOf(['ready=unknown'], vmFilters))).toHaveLength(1)
  })

  it('keeps nodes by what they are', () => {
    const nodes = [aNode('n1', { 'vm-capable': 'true' }), { ...aNode('n2'), role: 'worker' }]
    const kept = (...given: string[]): string[] => nodes.filter(filterOf(given, nodeFilters)).map((node) => node.hostname)
    expect([kept('capable=true'), kept('capable=false'), kept('role=worker'), kept('state=ready')]).toEqual([
      ['n1'],
      ['n2'],
      ['n2'],
      ['n1', 'n2'],
    ])
  })
})

describe('a watch', () => {
  const lost = new PortError('Unavailable', 'the controller ended it')

  async function* given(changes: readonly VmChange[]): AsyncGenerator<VmChange> {
    yield* changes
    throw lost
  }

  /** The output until the controller ends it. */
  async function written(
    changes: readonly VmChange[],
    options: FormOptions = {},
    what: { filter?: string; name?: string } = {},
  ): Promise<string> {
    let out = ''
    const isWanted = filterOf(what.filter === undefined ? [] : [what.filter], vmFilters)
    const form = formOf(
      vmShape(() => nowMs),
      options,
      yaml,
    )
    const output = { write: (more: string) => void (out += more), closed: new AbortController().signal }
    await expect(watchVms({ changes: given(changes), form, isWanted, name: what.name, output })).rejects.toBe(lost)
    return out
  }

  const is = (vm: VmView): VmChange => ({ kind: 'vm', vm })
  const synced: VmChange = { kind: 'synced' }
  const gone = (name: string): VmChange => ({ kind: 'gone', name })
  const pending = aVm('web', { phase: 'Pending', ready: 'False' })

  it('is the list, then a line for each change that is seen in these columns', async () => {
    const hidden = { ...web, events: [{ time: '', type: 'Ready', status: 'True', reason: '', message: '' }] }
    expect(await written([is(web), is(pending), is(database), synced, is(web), is(hidden), gone('web'), gone('web')])).toBe(
      [
        'NAME       PHASE     READY   NODE   ADDRESS         CPUS   MEMORY   IMAGE   AGE',
        'database   Pending   False   -      192.168.50.42   -      -        -       -',
        'web        Pending   False   n1     192.168.50.42   -      -        -       -',
        'web        Ready     True    n1     192.168.50.42   -      -        -       -',
        'web        Gone      -       -      -               -      -        -       -',
        '',
      ].join('\n'),
    )
  })

  it('takes no line for an age that only grew', async () => {
    let now = nowMs
    const born = { ...web, facts: { ...web.facts, createdAt: '2026-01-01T23:59:00.000Z' } }
    const form = formOf(
      vmShape(() => (now += 60_000)),
      {},
      yaml,
    )
    let out = ''
    const output = { write: (more: string) => void (out += more), closed: new AbortController().signal }
    const watch = watchVms({ changes: given([is(born), synced, is(born), is(born)]), form, isWanted: () => true, name: undefined, output })
    await expect(watch).rejects.toBe(lost)
    expect(out.match(/^web/gm)).toHaveLength(1)
  })

  it('is one object a line as JSON, whatever moved', async () => {
    const lines = (await written([is(web), synced, is(web), gone('web')], { output: 'json' })).trimEnd().split('\n')
    expect(lines.map((line) => (JSON.parse(line) as VmView).phase)).toEqual(['Ready', 'Ready', 'Gone'])
  })

  it('shows those alone that the filter keeps, and one alone by its name', async () => {
    const format = { format: '{{.Name}} {{.Phase}}' }
    const changes = [is(web), is(database), synced, is(pending), is(web), gone('database')]
    expect(await written(changes, format, { filter: 'phase=ready' })).toBe('web Ready\nweb Ready\n')
    expect(await written(changes, format, { name: 'database' })).toBe('database Pending\ndatabase Gone\n')
  })

  it('of a VM that is not there is an error', async () => {
    const output = { write: () => undefined, closed: new AbortController().signal }
    const form = formOf(
      vmShape(() => nowMs),
      {},
      yaml,
    )
    const ended = watchVms({ changes: given([is(web), synced]), form, isWanted: () => true, name: 'nobody', output })
    expect(await ended).toMatchObject({ exit: 1, err: 'error: there is no VM "nobody"\n' })
  })

  it('ends without an error when its output is closed', async () => {
    const output = { write: () => undefined, closed: AbortSignal.abort() }
    const form = formOf(
      vmShape(() => nowMs),
      {},
      yaml,
    )
    expect(await watchVms({ changes: given([]), form, isWanted: () => true, name: undefined, output })).toMatchObject({ exit: 0 })
  })
})

describe('confirm-removal', () => {
  const view: SourcesView = { sources: [], stalled: 'the manifests of 4 of 5 VMs are gone', withheld: ['a', 'b', 'c', 'd'] }

  function controller(withheld: readonly string[], later = withheld) {
    const confirmed: string[][] = []
    return {
      confirmed,
      sources: async () => ({ ...view, withheld }),
      confirmRemoval: async (names: readonly string[]) => {
        if (String(names) !== String(later)) return { kind: 'other' as const, withheld: later }
        confirmed.push([...names])
        return { kind: 'confirmed' as const, names }
      },
    }
  }

  it('shows what it would confirm, and the command that does', async () => {
    const api = controller(view.withheld)
    const { exit, out } = await confirmRemoval(api, [], false)
    expect([exit, api.confirmed]).toEqual([1, []])
    expect(out).toContain('removals are blocked: the manifests of 4 of 5 VMs are gone\n  a b c d\n')
    expect(out).toContain('\n  docker vm confirm-removal --yes a b c d\n')
  })

  it.each([[[]], [['d', 'c', 'b', 'a', 'a']]])('confirms exactly the blocked removals, given as %j', async (given) => {
    const api = controller(view.withheld)
    expect(await confirmRemoval(api, given, true)).toMatchObject({ exit: 0, err: '' })
    expect(api.confirmed).toEqual([['a', 'b', 'c', 'd']])
  })

  it('confirms nothing where other names are given, or others vanished meanwhile', async () => {
    const api = controller(view.withheld, ['a', 'b', 'c', 'd', 'e'])
    for (const given of [['a'], [...view.withheld, 'e'], []]) {
      expect(await confirmRemoval(api, given, true)).toMatchObject({
        exit: 1,
        out: '',
        err: expect.stringContaining('nothing was confirmed') as string,
      })
    }
    expect(api.confirmed).toEqual([])
  })

  it('does nothing if no removal is blocked, and says so if names are given', async () => {
    expect(await confirmRemoval(controller([]), [], true)).toMatchObject({ exit: 0, out: 'no removal is blocked\n' })
    expect(await confirmRemoval(controller([]), ['a'], true)).toMatchObject({
      exit: 1,
      err: expect.stringContaining('no removal is blocked now') as string,
    })
  })
})
