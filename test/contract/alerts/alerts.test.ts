import { beforeAll, describe, expect, it } from 'vitest'
import { join } from 'node:path'
import { run } from '../../lab/run.ts'
import { ensurePrometheus } from '../../e2e/prometheus.ts'

const rules = join(import.meta.dirname, '../../../deploy/prometheus')

beforeAll(ensurePrometheus)

describe('the rules for Prometheus, judged by promtool', () => {
  it('are part of a valid configuration', async () => {
    const { code, stdout, stderr } = await run(['promtool', 'check', 'config', '--lint=all', '--lint-fatal', join(rules, 'prometheus.yml')])
    expect(`${stdout}${stderr}`).not.toContain('FAILED')
    expect(code).toBe(0)
  })

  it('fire each alert when they should, and not before', async () => {
    const { code, stdout, stderr } = await run(['promtool', 'test', 'rules', join(import.meta.dirname, 'cases.yml')])
    expect(`${stdout}${stderr}`).toContain('SUCCESS')
    expect(code).toBe(0)
  })
})
