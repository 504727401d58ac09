/** The cost of the plugin beyond the start of bare Node, and beyond Docker at each `--help`. */
import { spawnSync } from 'node:child_process'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { buildCli } from '../../scripts/build-cli.ts'

const rounds = 21
const aims = { validateMs: 150, metadataMs: 10 }
const manifest = join(import.meta.dirname, '../../manifests/hello.yaml')

type Measured = 'bare' | 'validate' | 'version' | 'shell' | 'metadata'

export async function benchCli(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'swarmvirt-bench-'))
  try {
    const plugin = await buildCli(folder)
    print(measured(plugin))
  } finally {
    rmSync(folder, { recursive: true })
  }
}

/** Interleaved, so that whatever else the machine does falls on all of them. */
function measured(plugin: string): Readonly<Record<Measured, number[]>> {
  const commands: Readonly<Record<Measured, readonly [string, ...string[]]>> = {
    bare: [process.execPath, '-e', '0'],
    validate: [plugin, 'validate', manifest],
    version: [plugin, 'version'],
    shell: ['/bin/sh', '-c', ':'],
    metadata: [plugin, 'docker-cli-plugin-metadata'],
  }
  const times: Record<Measured, number[]> = { bare: [], validate: [], version: [], shell: [], metadata: [] }
  for (let round = 0; round < rounds; round += 1) {
    for (const name of Object.keys(times) as Measured[]) times[name].push(once(commands[name]))
  }
  return times
}

function once([program, ...args]: readonly [string, ...string[]]): number {
  const started = performance.now()
  const { status, stderr } = spawnSync(program, args, { env: { ...process.env, SWARMVIRT_NODE: process.execPath } })
  const took = performance.now() - started
  if (status !== 0) throw new Error(`${program} ${args.join(' ')}: ${stderr.toString()}`)
  return took
}

function print(times: Readonly<Record<Measured, number[]>>): void {
  process.stdout.write(`\nstart to end, median of ${rounds} rounds interleaved, ms\n`)
  for (const [name, values] of Object.entries(times)) process.stdout.write(`  ${name.padEnd(10)}${median(values).toFixed(1)}\n`)
  const beyond = median(times.validate) - median(times.bare)
  const ratio = median(times.validate) / median(times.bare)
  process.stdout.write(
    `  validate of one file beyond bare Node: ${beyond.toFixed(0)} ms, ratio ${ratio.toFixed(1)} (aim: under ${aims.validateMs} ms) ${verdict(beyond, aims.validateMs)}\n`,
  )
  const metadata = median(times.metadata)
  process.stdout.write(
    `  docker-cli-plugin-metadata: ${metadata.toFixed(1)} ms, an empty shell ${median(times.shell).toFixed(1)} (aim: under ${aims.metadataMs} ms) ${verdict(metadata, aims.metadataMs)}\n`,
  )
}

function verdict(value: number, aim: number): string {
  return value < aim ? 'met' : 'missed'
}

function median(values: readonly number[]): number {
  return values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN
}
