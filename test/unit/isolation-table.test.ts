import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { isolationTable } from '../bench/isolation.ts'

test('the table of docs/isolation.md is what the template of a VM says now', () => {
  const page = readFileSync(join(import.meta.dirname, '../../docs/isolation.md'), 'utf8')
  for (const line of isolationTable().trim().split('\n')) expect(page).toContain(line)
})
