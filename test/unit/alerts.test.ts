import { describe, expect, it } from 'vitest'
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { parse } from 'yaml'

interface Rule {
  readonly alert?: string
  readonly record?: string
  readonly expr: string
  readonly annotations?: Readonly<Record<string, string>>
}

const root = join(import.meta.dirname, '../..')
const rulesOf = (file: string): readonly Rule[] => {
  const { groups } = parse(readFileSync(join(root, 'deploy/prometheus', file), 'utf8')) as { groups: { rules: Rule[] }[] }
  return groups.flatMap(({ rules }) => rules)
}
const alerts = rulesOf('alerts.yml').map((rule) => ({ ...rule, alert: rule.alert ?? '' }))
const cases = parse(readFileSync(join(root, 'test/contract/alerts/cases.yml'), 'utf8')) as { tests: { name: string }[] }

describe('every alert', () => {
  it.each(alerts)('$alert has a runbook with its four sections', ({ alert, annotations }) => {
    expect(annotations?.['runbook_url']).toBe(`docs/runbooks/${alert}.md`)
    const page = readFileSync(join(root, `docs/runbooks/${alert}.md`), 'utf8')
    expect(page.match(/^## .*$/gm)).toEqual(['## Meaning', '## Impact', '## Diagnosis', '## Mitigation'])
  })

  it('has a case for promtool', () => {
    expect(cases.tests.map(({ name }) => name)).toEqual(alerts.map(({ alert }) => alert))
  })

  it('is listed with the runbooks, and no runbook is without its alert', () => {
    const pages = readdirSync(join(root, 'docs/runbooks')).filter((page) => page !== 'README.md')
    expect(pages.toSorted()).toEqual(alerts.map(({ alert }) => `${alert}.md`).toSorted())
    const listed = readFileSync(join(root, 'docs/runbooks/README.md'), 'utf8')
    for (const { alert } of alerts) expect(listed).toContain(`[${alert}](${alert}.md)`)
  })
})

it('rules use only metrics that docs/metrics.md describes', () => {
  const documented = readFileSync(join(root, 'docs/metrics.md'), 'utf8')
  const used = [...rulesOf('rules.yml'), ...alerts].flatMap(
    ({ expr }) => expr.match(/(?<![:\w])(?:swarmvirt|controller_runtime|workqueue)_\w+/g) ?? [],
  )
  for (const metric of new Set(used)) expect(documented).toContain(metric.replace(/_bucket$/, ''))
})
