/**
 * Bundles the Docker CLI plugin: `npm run build:cli [-- DIR]` writes `docker-vm` and `swarmvirt-cli.cjs` (default `dist/cli`). Both go into
 * `~/.docker/cli-plugins`. The bundle's name has no `docker-` prefix, since Docker treats every such file there as a plugin.
 */
import { chmodSync, mkdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { build } from 'esbuild'
import { release } from '../src/api/release.ts'
import { description } from '../src/cli/program.ts'
import { leastNode } from '../src/cli/runtime.ts'
import { englishOnly, oneFile } from './bundle.ts'
import { programNamed } from './program.ts'

const repository = join(import.meta.dirname, '..')

/** Returns the path of the plugin. */
export async function buildCli(outDir: string): Promise<string> {
  mkdirSync(outDir, { recursive: true })
  await build({
    entryPoints: [join(repository, 'src/cli/main.ts')],
    outfile: join(outDir, 'swarmvirt-cli.cjs'),
    target: `node${leastNode}`,
    plugins: [englishOnly],
    ...oneFile,
  })
  const plugin = join(outDir, 'docker-vm')
  writeFileSync(plugin, shim())
  chmodSync(plugin, 0o755)
  return plugin
}

/** Docker asks every plugin for its metadata at each `--help`. The shell answers, without starting Node. */
function shim(): string {
  const metadata = JSON.stringify({ SchemaVersion: '0.1.0', Vendor: 'swarmvirt', Version: release, ShortDescription: description })
  if (/['\\]/.test(metadata)) throw new Error('the metadata cannot stand between single quotes')
  return readFileSync(join(repository, 'deploy/cli/docker-vm.sh'), 'utf8')
    .replaceAll('@METADATA@', metadata)
    .replaceAll('@NODE@', String(leastNode))
}

if (import.meta.main) {
  const program = programNamed('npm run build:cli --', 'Bundles the Docker CLI plugin.')
  program.argument('[directory]', 'output directory', join(repository, 'dist/cli'))
  const [outDir = ''] = program.parse().processedArgs as string[]
  process.stdout.write(`${await buildCli(outDir)}\n`)
}
