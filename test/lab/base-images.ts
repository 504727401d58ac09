/**
 * The images that take long to make, kept as archives that `docker load` takes, under names that hold a hash of what
 * they are made from. No image registry is asked: the base is Debian's own packages and the Node of node_modules.
 */
import { createHash } from 'node:crypto'
import {
  createReadStream,
  createWriteStream,
  existsSync,
  mkdirSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { buildLayer } from './builder.ts'
import { type CachedImage, shortHash } from './cached-image.ts'
import { cacheDir, type LabLayout } from './layout.ts'
import { withLock } from './lock.ts'
import { must, say } from './run.ts'
import { tarStream } from './tar.ts'
import { nodeBaseRecipe } from '../../scripts/build-images.ts'

export type BaseImages = { readonly base: CachedImage; readonly nodeBase: CachedImage; readonly tiny: CachedImage }

const repository = join(import.meta.dirname, '..', '..')
const suite = 'trixie'

function nodePackage(): string {
  return join(repository, 'node_modules', `node-linux-${process.arch}`)
}

/** Where this machine gets Debian from. See apt-get(8), indextargets. */
export async function debianMirror(): Promise<string> {
  const targets = await must(['apt-get', 'indextargets', '--format', '$(REPO_URI) $(LABEL)', 'Created-By: Packages'])
  const line = targets.split('\n').find((each) => each.endsWith(' Debian'))
  return line?.split(' ')[0] ?? 'http://deb.debian.org/debian'
}

/** The recipe of the stand-in for `node:24-trixie-slim`: the same user, the same paths, no documentation. */
function baseArgv(mirror: string, target: string): string[] {
  const skipped = ['doc/*', 'man/*', 'info/*', 'locale/*', 'lintian/*'].map((path) => `--dpkgopt=path-exclude=/usr/share/${path}`)
  return [
    'mmdebstrap',
    '--quiet',
    '--mode=root',
    '--variant=minbase',
    '--format=tar',
    '--include=ca-certificates',
    ...skipped,
    '--dpkgopt=path-include=/usr/share/doc/*/copyright',
    `--customize-hook=copy-in ${join(nodePackage(), 'bin', 'node')} /usr/local/bin`,
    '--customize-hook=chroot "$1" groupadd --gid 1000 node',
    '--customize-hook=chroot "$1" useradd --uid 1000 --gid node --shell /bin/bash --create-home node',
    '--customize-hook=rm -rf "$1"/var/lib/apt/lists/* "$1"/var/cache/* "$1"/var/log/* "$1"/etc/hostname "$1"/etc/resolv.conf',
    suite,
    target,
    mirror,
  ]
}

/** An archive of one layer in the form of `docker save`; the image's id depends on the layer alone. */
async function packImage(references: readonly string[], layer: string, command: readonly string[], archive: string): Promise<void> {
  const digest = createHash('sha256')
  await pipeline(createReadStream(layer), digest)
  const config = Buffer.from(
    JSON.stringify({
      architecture: process.arch === 'x64' ? 'amd64' : process.arch,
      os: 'linux',
      created: '2025-01-01T00:00:00Z',
      config: { Env: ['PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin'], Cmd: command },
      rootfs: { type: 'layers', diff_ids: [`sha256:${digest.digest('hex')}`] },
      history: [{ created: '2025-01-01T00:00:00Z', created_by: 'lab' }],
    }),
  )
  const configName = `${createHash('sha256').update(config).digest('hex')}.json`
  const manifest = Buffer.from(JSON.stringify([{ Config: configName, RepoTags: references, Layers: ['layer/layer.tar'] }]))
  const plain = `${archive}.plain`
  await pipeline(
    tarStream([
      { name: configName, content: config },
      { name: 'layer/layer.tar', content: { path: layer } },
      { name: 'manifest.json', content: manifest },
    ]),
    createWriteStream(plain),
  )
  await must(['zstd', '-q', '-f', '-3', '-T0', '--rm', plain, '-o', archive])
}

/** Makes a file of the cache unless it is there; it appears under its name only when whole. */
async function cached(reference: string, make: (scratch: string, archive: string) => Promise<void>): Promise<CachedImage> {
  const cache = cacheDir(process.env)
  const archive = join(cache, `${reference.replace(':', '-')}.tar.zst`)
  if (existsSync(archive)) return { reference, archive }
  return withLock(`cache-${reference}`, 900_000, async () => {
    if (existsSync(archive)) return { reference, archive }
    const scratch = join(cache, `making-${reference.replace(':', '-')}`)
    rmSync(scratch, { recursive: true, force: true })
    mkdirSync(scratch, { recursive: true })
    const whole = join(scratch, 'archive')
    await make(scratch, whole)
    renameSync(whole, archive)
    rmSync(scratch, { recursive: true, force: true })
    return { reference, archive }
  })
}

async function ensureBase(): Promise<CachedImage> {
  const mirror = await debianMirror()
  const nodeVersion = readFileSync(join(nodePackage(), 'package.json'), 'utf8')
  const reference = `swarmvirt-base:${shortHash(nodeVersion, ...baseArgv(mirror, '').map((each) => each.replaceAll(repository, '')))}`
  return cached(reference, async (scratch, archive) => {
    say(`building the Debian base image from ${mirror} (about a minute, kept in ${cacheDir(process.env)}) …`)
    const layer = join(scratch, 'layer.tar')
    await must(baseArgv(mirror, layer))
    await packImage([reference], layer, ['node'], archive)
  })
}

async function ensureNodeBase(layout: LabLayout, base: CachedImage): Promise<CachedImage> {
  const recipe = nodeBaseRecipe()
  const reference = `swarmvirt-node-base:${shortHash(base.reference, recipe)}`
  return cached(reference, async (_scratch, archive) => {
    say('building the layer with QEMU (a minute or two, kept as well) …')
    await buildLayer(layout, { base, reference, recipe, archive })
  })
}

const gitRecipe = `ARG BASE_IMAGE
FROM \${BASE_IMAGE}
RUN apt-get update \\
 && DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends git \\
 && rm -rf /var/lib/apt/lists/* /var/cache/* /var/log/* /usr/share/doc /usr/share/man /usr/share/locale
`

/** Node and git, for the tests that sync manifests from a repository. Not among the images of every lab. */
export async function ensureGitBase(layout: LabLayout): Promise<CachedImage> {
  const base = await ensureBase()
  const reference = `swarmvirt-git-base:${shortHash(base.reference, gitRecipe)}`
  return cached(reference, async (_scratch, archive) => {
    say('building the layer with git (half a minute, kept as well) …')
    await buildLayer(layout, { base, reference, recipe: gitRecipe, archive })
  })
}

/** A few megabytes of busybox as `swarmvirt-tiny:1`, for tests that need any container. */
async function ensureTiny(): Promise<CachedImage> {
  const version = (await must(['busybox'])).split('\n')[0] ?? ''
  const reference = `swarmvirt-tiny:${shortHash(version, 'recipe 2')}`
  return cached(reference, async (scratch, target) => {
    const root = join(scratch, 'root')
    mkdirSync(join(root, 'bin'), { recursive: true })
    for (const dir of ['etc', 'tmp', 'proc', 'sys', 'dev', 'run', 'var']) mkdirSync(join(root, dir))
    await must(['cp', '/bin/busybox', join(root, 'bin', 'busybox')])
    for (const applet of (await must(['busybox', '--list'])).split('\n')) {
      if (applet !== '' && applet !== 'busybox') symlinkSync('busybox', join(root, 'bin', applet))
    }
    writeFileSync(join(root, 'etc', 'passwd'), 'root:x:0:0:root:/:/bin/sh\n')
    // Without it a static glibc looks for libraries that are not there, and ends with SIGSEGV.
    writeFileSync(join(root, 'etc', 'nsswitch.conf'), 'hosts: files dns\n')
    const layer = join(scratch, 'layer.tar')
    await must(['tar', '--sort=name', '--mtime=@0', '--owner=0', '--group=0', '--numeric-owner', '-C', root, '-cf', layer, '.'])
    await packImage([reference, 'swarmvirt-tiny:1'], layer, ['sh'], target)
  })
}

export async function ensureBaseImages(layout: LabLayout): Promise<BaseImages> {
  const base = await ensureBase()
  const [nodeBase, tiny] = await Promise.all([ensureNodeBase(layout, base), ensureTiny()])
  return { base, nodeBase, tiny }
}
