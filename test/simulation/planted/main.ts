// `npm run planted [-- NAME …]`: plants every bug, or the named ones, or every second one with `--part 1/2`, and prints which invariant notices it
// and after how many seeds.
import { Argument } from 'commander'
import { type Part, parsePart, programNamed } from '../../../scripts/program.ts'
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

const bugs = plantedBugs()
const program = programNamed('npm run planted --', 'Plants bugs and prints which invariant notices each, and after how many seeds.')
program.addArgument(new Argument('[names...]', 'default: all').choices(bugs.map(({ name }) => name)))
program.option('--part <K/N>', 'only every N-th bug, from the K-th', parsePart, { which: 1, of: 1 })
program.parse()
const named = program.processedArgs[0] as string[]
const { part } = program.opts<{ part: Part }>()
const waiting = bugs
  .filter((one) => named.length === 0 || named.includes(one.name))
  .filter((_one, index) => index % part.of === part.which - 1)
let escaped = 0

async function work(): Promise<void> {
  for (let next = waiting.shift(); next !== undefined; next = waiting.shift()) if (!(await tell(next))) escaped += 1
}

await Promise.all(Array.from({ length: workers }, work))
process.exitCode = escaped === 0 ? 0 : 1
