import { spawnSync } from 'node:child_process'
import { existsSync } from 'node:fs'
import { join } from 'node:path'
import { expect, it } from 'vitest'

const root = join(import.meta.dirname, '..', '..', '..')

const wrong: readonly (readonly [program: string, args: readonly string[], says: string])[] = [
  ['test/lab/main.ts', ['down', 'e2e'], '--lab NAME'],
  ['test/lab/main.ts', ['dwn'], 'Did you mean down?'],
  ['test/lab/main.ts', ['up', '--frsh'], 'Did you mean --fresh?'],
  ['test/lab/main.ts', ['exec', 'n4', 'ls'], 'n1, n2, n3, lan, mgmt'],
  ['test/lab/main.ts', ['kill-dockerd', 'n1', 'SIGFOO'], 'SIGKILL'],
  ['scripts/build-images.ts', ['--hlp'], 'Did you mean --help?'],
  ['scripts/build-cli.ts', ['one', 'two'], 'too many arguments'],
  ['scripts/demo.ts', ['dwn'], 'too many arguments'],
  ['scripts/schema.ts', ['--chek'], 'Did you mean --check?'],
  ['scripts/check.ts', ['--fast'], 'unknown option'],
  ['scripts/test.ts', ['e2'], 'contract, simulation, e2e, e2e 1/2'],
  ['scripts/test.ts', ['--minutes', 'nine'], 'a number above 0'],
  ['scripts/test.ts', ['full', 'gests'], 'guests'],
  ['test/bench/main.ts', ['creat'], 'edit, create, removed'],
  ['test/simulation/main.ts', ['--seeds', 'many'], 'an integer'],
  ['test/simulation/main.ts', ['--sweep', 'crash'], 'crashes'],
  ['test/simulation/main.ts', ['--part', '3/2'], 'K/N'],
  ['test/simulation/main.ts', ['--seed', '1', '--faults', 'call 1 explode'], 'explode'],
  ['test/simulation/planted/main.ts', ['latch'], 'latch-released'],
]

it.each(wrong)('%s refuses %j, says what is right, and does nothing', (program, args, says) => {
  const { status, stderr } = spawnSync(process.execPath, [join(root, program), ...args], { cwd: root, encoding: 'utf8' })
  expect({ status, stderr }).toEqual({ status: 2, stderr: expect.stringContaining(says) })
})

it('scripts/build-images.ts --help explains itself and makes nothing', () => {
  const { status, stdout } = spawnSync(process.execPath, ['scripts/build-images.ts', '--help'], { cwd: root, encoding: 'utf8' })
  expect({ status, stdout }).toEqual({ status: 0, stdout: expect.stringContaining('[directory]') })
  expect(existsSync(join(root, '--help'))).toBe(false)
})
