// `npm run planted [-- NAME …]`: plants every bug, or the named ones, or every second one with `--part 1/2`, and prints which invariant notices it
// and after how many seeds.
import { parseArgs } from 'node:util'
import { catchBug, isCaught, type Planted, plantedBugs } from './plant.ts'

const seeds = 2_000
const workers = 2

async function tell(planted: Planted): Promise<boolean> {
  try {
    const caught = await catchBug(planted, seeds)
    const ok = isCaught(planted, caught)
    process.stdout.write(
      `${ok ? 'ok    ' : 'FAILED'} ${planted.name}: ${caught.invariant ?? 'nothing'} after ${caught.seeds} seeds, "${caught.scenario ?? ''}" ${ok ? '' : caught.message}\n`,
    )
    return ok
  } catch (error) {
    process.stdout.write(`FAILED ${planted.name}: ${(error as Error).message}\n`)
    return false
  }
}

const { values, positionals: named } = parseArgs({ allowPositionals: true, options: { part: { type: 'string', default: '1/1' } } })
const [which = 1, parts = 1] = values.part.split('/').map(Number)
const waiting = plantedBugs()
  .filter((one) => named.length === 0 || named.includes(one.name))
  .filter((_one, index) => index % parts === which - 1)
let escaped = 0

async function work(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) if (!(await tell(next))) escaped += 1
}

await Promise.all(Array.from({ length: workers }, work))
process.exitCode = escaped === 0 ? 0 : 1
