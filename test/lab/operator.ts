/** An operator's Docker on the lab: the built plugin, a context of the Swarm, a login. Its commands run in the management network. */
import { existsSync, mkdirSync } from 'node:fs'
import { join } from 'node:path'
import { buildCli } from '../../scripts/build-cli.ts'
import { onSwitch } from './daemons.ts'
import { type LabLayout, nodeBinary, nodeOf } from './layout.ts'
import { must } from './run.ts'

const context = 'lab'

function configDirectory(layout: LabLayout): string {
  return join(layout.dir, 'operator')
}

/** The command with its environment. @throws when the lab is down or nothing was deployed on it. */
export function operatorCommand(layout: LabLayout, args: readonly string[]): { argv: string[]; env: NodeJS.ProcessEnv } {
  const config = configDirectory(layout)
  const argv = onSwitch(layout, layout.mgmtNetns, ['docker', '--config', config, '--context', context, ...args])
  if (!existsSync(config)) throw new Error(`lab "${layout.lab}" has no swarmvirt yet; run "npm run demo"`)
  const { DOCKER_HOST: _host, DOCKER_CONTEXT: _context, ...env } = process.env
  return { argv, env: { ...env, HOME: config, SWARMVIRT_NODE: nodeBinary() } }
}

/** Builds the plugin as the checkout has it now, and logs in. */
export async function prepareOperator(layout: LabLayout, token: string): Promise<void> {
  const config = configDirectory(layout)
  mkdirSync(config, { recursive: true, mode: 0o700 })
  await buildCli(join(config, 'cli-plugins'))
  const host = `host=unix://${nodeOf(layout, 'n1').dockerSocket}`
  const runAs = (args: readonly string[], input = ''): Promise<string> => {
    const { argv, env } = operatorCommand(layout, args)
    return must(argv, { env, input, timeoutMs: 60_000 })
  }
  const contexts = await must(['docker', '--config', config, 'context', 'ls', '--format', '{{.Name}}'])
  if (!contexts.split('\n').includes(context)) await must(['docker', '--config', config, 'context', 'create', context, '--docker', host])
  await runAs(['vm', 'login', '--token-stdin'], token)
}
