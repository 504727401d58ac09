// `npm run bench`: measures the figures of docs/performance.md, prints them as a table and asserts nothing. Progress goes to stderr.
import { Argument } from 'commander'
import { integerFrom, programNamed } from '../../scripts/program.ts'
import { say } from '../lab/run.ts'
import { benchController } from './controller/bench.ts'
import { figureNames, type FigureName, isFigure, tableOf } from './figures.ts'
import { isolationTable } from './isolation.ts'
import { benchVm } from './vm/bench.ts'

interface Options {
  readonly vms: number
  readonly rounds: number
  readonly profiles?: string
}

const program = programNamed('npm run bench --', 'Measures the figures of docs/performance.md and prints them as a table.')
program
  .addArgument(new Argument('[figures...]', 'default: all').choices([...figureNames, 'isolation']))
  .option('--vms <number>', 'VMs of the controller', integerFrom(2), 1_000)
  .option('--rounds <number>', 'rounds, interleaved with their baseline', integerFrom(1), 5)
  .option('--profiles <directory>', 'write a CPU profile of each controller, which slows it down')
  .action(async (asked: readonly string[], options: Options) => {
    if (asked.includes('isolation')) process.stdout.write(isolationTable())
    if (asked.length > 0 && !asked.some(isFigure)) return
    const wanted: ReadonlySet<FigureName> = new Set(asked.length === 0 ? figureNames : asked.filter(isFigure))
    const measured = { ...(await benchController(wanted, options)), ...(await benchVm(wanted, options.rounds)) }
    say('')
    process.stdout.write(tableOf(measured))
  })

await program.parseAsync()
