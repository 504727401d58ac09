// `npm run bench -- NAME`: prints figures and asserts nothing. A figure means something only beside the others of the same run.
import { Option } from 'commander'
import { integerFrom, programNamed } from '../../scripts/program.ts'
import { benchCli } from './cli.ts'
import { benchController, type ControllerOptions, stepsOf, stepNames } from './controller.ts'
import { benchRunner } from './runner.ts'

const program = programNamed('npm run bench --', 'Prints figures and asserts nothing.')
program.command('cli').description('the Docker CLI plugin beside bare Node').action(benchCli)
program.command('runner').description('a VM beside bare QEMU').action(benchRunner)
program
  .command('controller')
  .description('the control loop beside "docker stack deploy" and the raw API')
  .addOption(new Option('--managers <number>', 'managers of the Swarm').choices(['1', '3']).default('1'))
  .option('--vms <number>', 'VMs of most steps', integerFrom(1), 1_000)
  .option('--many <number>', 'VMs of the step "many"', integerFrom(1), 10_000)
  .option('--rounds <number>', 'rounds, interleaved', integerFrom(1), 7)
  .option('--profiles <directory>', 'write CPU profiles there')
  .option('--steps <names>', `of ${stepNames.join(',')}`, stepsOf, stepNames)
  .action((options: ControllerOptions) => benchController(options))

await program.parseAsync()
