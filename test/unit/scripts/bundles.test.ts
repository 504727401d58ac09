import { join } from 'node:path'
import { build } from 'esbuild'
import { expect, it } from 'vitest'

const repository = join(import.meta.dirname, '../../..')

// Each VM has a runner, and each node an agent and a broker: zod costs each of them 3 MiB that zod/mini does not.
it.each(['runner/main.ts', 'src/agent/main.ts', 'src/broker/main.ts'])('%s uses zod/mini and not zod', async (entry) => {
  const { metafile } = await build({
    absWorkingDir: repository,
    entryPoints: [entry],
    bundle: true,
    platform: 'node',
    format: 'esm',
    packages: 'external',
    write: false,
    metafile: true,
  })
  const packages = Object.values(metafile.outputs).flatMap(({ imports }) => imports.map(({ path }) => path))
  expect(packages).toContain('zod/mini')
  expect(packages).not.toContain('zod')
})
