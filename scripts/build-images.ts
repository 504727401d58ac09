/**
 * Bundles the programs for the two images: `npm run build:images [-- DIR]` writes the contexts (default `dist`). Then run `docker build -f
 * deploy/Dockerfile dist/swarmvirt` and `docker build -f deploy/Dockerfile.node dist/swarmvirt-node`.
 */
import { createHash } from 'node:crypto'
import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { build, type Plugin } from 'esbuild'
import { englishOnly, oneFile } from './bundle.ts'
import { programNamed } from './program.ts'

const repository = join(import.meta.dirname, '..')

type ImageName = 'swarmvirt' | 'swarmvirt-node'
export type ImageContext = {
  readonly name: ImageName
  readonly dir: string
  /** Hash of every file in the context and of the Dockerfile's last stage. */
  readonly hash: string
  /** Only the Dockerfile's last stage, on an existing base image. */
  dockerfileOn(base: string): string
}

type Recipe = { readonly entries: Readonly<Record<string, string>>; readonly dockerfile: string; readonly native: readonly string[] }

const recipes: Readonly<Record<ImageName, Recipe>> = {
  swarmvirt: { entries: { controller: 'src/controller/main.ts' }, dockerfile: 'Dockerfile', native: [] },
  'swarmvirt-node': {
    entries: { agent: 'src/agent/main.ts', broker: 'src/broker/main.ts', runner: 'runner/main.ts' },
    dockerfile: 'Dockerfile.node',
    native: ['koffi'],
  },
}

function dockerfile(image: ImageName): string {
  return readFileSync(join(repository, 'deploy', recipes[image].dockerfile), 'utf8')
}

function stageStarts(text: string): number[] {
  return [...text.matchAll(/^FROM /gm)].map((match) => match.index)
}

/** The Dockerfile of `swarmvirt-node` without its last stage: QEMU and the users, which change rarely. */
export function nodeBaseRecipe(): string {
  const text = dockerfile('swarmvirt-node')
  return text.slice(0, stageStarts(text).at(-1))
}

function lastStageOn(image: ImageName, base: string): string {
  const text = dockerfile(image)
  return text.slice(stageStarts(text).at(-1)).replace(/^FROM .*$/m, `FROM ${base}`)
}

/** dockerode loads these to build images, to pack files and to use ssh. They are unused, and take a third of the controller's memory. */
const unusedDrivers: Plugin = {
  name: 'unused-drivers',
  setup(builder) {
    const filter = /^(ssh2|@grpc\/grpc-js|@grpc\/proto-loader|protobufjs|tar-fs|@balena\/dockerignore)$/
    builder.onResolve({ filter }, (args) => ({ path: args.path, namespace: 'unused' }))
    // A new use of one would fail at its first call.
    builder.onLoad({ filter: /.*/, namespace: 'unused' }, () => ({ contents: 'module.exports = {}', loader: 'js' }))
  },
}

/** ssh2 works without these optional modules, and a bundle cannot contain them. */
const optionalNatives: Plugin = {
  name: 'optional-natives',
  setup(builder) {
    builder.onResolve({ filter: /^cpu-features$|\.node$/ }, (args) => ({ path: args.path, namespace: 'absent' }))
    builder.onLoad({ filter: /.*/, namespace: 'absent' }, (args) => ({
      contents: `throw new Error(${JSON.stringify(`${args.path} is not part of this bundle`)})`,
      loader: 'js',
    }))
  },
}

/** Bundles one program into one file. */
export async function bundle(entry: string, outfile: string, native: readonly string[]): Promise<void> {
  await build({
    entryPoints: [join(repository, entry)],
    outfile,
    target: 'node24',
    external: [...native],
    plugins: [unusedDrivers, optionalNatives, englishOnly],
    ...oneFile,
  })
}

/** koffi loads its library by name at run time, so the package and its prebuilt part for this platform are copied as files. */
function copyKoffi(dir: string): void {
  const fromKoffi = createRequire(createRequire(import.meta.url).resolve('koffi'))
  const platform = `@koromix/koffi-linux-${process.arch}`
  const packages = {
    koffi: dirname(createRequire(import.meta.url).resolve('koffi')),
    [platform]: dirname(fromKoffi.resolve(`${platform}/package.json`)),
  }
  for (const [name, from] of Object.entries(packages)) {
    const skipped = new Set(['doc', 'vendor', 'README.md', 'CHANGELOG.md'].map((each) => join(from, each)))
    cpSync(from, join(dir, 'node_modules', name), { recursive: true, dereference: true, filter: (source) => !skipped.has(source) })
  }
}

function hashTree(dir: string): string {
  const hash = createHash('sha256')
  const files = readdirSync(dir, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile())
  for (const path of files.map((entry) => join(entry.parentPath, entry.name)).sort()) {
    hash
      .update(`${path.slice(dir.length)}\0`)
      .update(readFileSync(path))
      .update('\0')
  }
  return hash.digest('hex')
}

async function buildContext(name: ImageName, outDir: string): Promise<ImageContext> {
  const dir = join(outDir, name)
  rmSync(dir, { recursive: true, force: true })
  mkdirSync(dir, { recursive: true })
  const { entries, native } = recipes[name]
  await Promise.all(Object.entries(entries).map(([program, entry]) => bundle(entry, join(dir, `${program}.cjs`), native)))
  if (native.includes('koffi')) copyKoffi(dir)
  const hash = createHash('sha256').update(hashTree(dir)).update(lastStageOn(name, '')).digest('hex')
  return { name, dir, hash, dockerfileOn: (base) => lastStageOn(name, base) }
}

/** Creates the contexts of both images below `outDir`. */
export async function buildContexts(outDir: string): Promise<readonly [ImageContext, ImageContext]> {
  const dir = join(outDir, 'contexts')
  return Promise.all([buildContext('swarmvirt', dir), buildContext('swarmvirt-node', dir)])
}

if (import.meta.main) {
  const program = programNamed('npm run build:images --', 'Writes the build contexts of the two images.')
  program.argument('[directory]', 'output directory', join(repository, 'dist'))
  const [outDir = ''] = program.parse().processedArgs as string[]
  for (const name of ['swarmvirt', 'swarmvirt-node'] as const) {
    const { dir, hash } = await buildContext(name, outDir)
    process.stdout.write(`${dir} ${hash.slice(0, 16)}\n`)
  }
}
