// `npm run bench -- NAME`: prints figures and asserts nothing. A figure means something only beside the others of the same run.
import { benchCli } from './cli.ts'
import { benchController } from './controller.ts'
import { benchRunner } from './runner.ts'

const benches: Readonly<Record<string, (args: readonly string[]) => Promise<void>>> = {
  cli: benchCli,
  controller: benchController,
  runner: benchRunner,
}

const [name = '', ...args] = process.argv.slice(2)
const bench = benches[name]
if (bench === undefined) {
  process.stderr.write(`usage: npm run bench -- ${Object.keys(benches).join(' | ')}\n`)
  process.exitCode = 2
} else {
  await bench(args)
}
