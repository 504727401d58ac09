/** Brings images to the nodes: the slow ones from the cache, the project's own built on the first node and copied. */
import { createReadStream, createWriteStream, rmSync } from 'node:fs'
import { join } from 'node:path'
import { pipeline } from 'node:stream/promises'
import { buildContexts, type ImageContext } from '../../scripts/build-images.ts'
import type { BaseImages } from './base-images.ts'
import { type CachedImage, loadArchive, shortHash } from './cached-image.ts'
import { docker, mustDocker } from './engine.ts'
import type { LabLayout, NodeLayout } from './layout.ts'
import { must, say } from './run.ts'
import { filterTar } from './tar.ts'

/** Not git-sync, but a directory with the same structure. */
const gitSyncImage = 'git-sync-stand-in:1'

async function hasImage(layout: LabLayout, node: NodeLayout, reference: string): Promise<boolean> {
  return (await docker(layout, node.dockerSocket, ['image', 'inspect', '-f', '{{.Id}}', reference])).code === 0
}

/** Loads onto one node what it lacks of the images that take long. */
export async function loadBases(layout: LabLayout, node: NodeLayout, images: BaseImages): Promise<void> {
  for (const image of [images.tiny, images.base, images.nodeBase]) await loadIfMissing(layout, node, image)
}

async function loadIfMissing(layout: LabLayout, node: NodeLayout, image: CachedImage): Promise<void> {
  if (await hasImage(layout, node, image.reference)) return
  say(`loading ${image.reference} on ${node.name} …`)
  await loadArchive(layout, node.dockerSocket, image.archive)
}

/** The bundles' layer on top of a base that the node has. Tagged with its content's hash, and `dev`. */
async function buildOn(layout: LabLayout, node: NodeLayout, context: ImageContext, reference: string, base: string): Promise<void> {
  const dockerfile = context.dockerfileOn(base)
  const args = ['build', '-q', '--build-arg', `BASE_IMAGE=${base}`, '-t', reference, '-t', `${context.name}:dev`, '-f', '-', context.dir]
  await mustDocker(layout, node.dockerSocket, args, { input: dockerfile })
}

type SavedManifest = readonly { readonly Layers: readonly string[] }[]

/** Layers come in order; those of the base are on the other node already, and `docker load` skips what it has. */
async function baseLayerCount(layout: LabLayout, node: NodeLayout, base: string): Promise<number> {
  const layers = await mustDocker(layout, node.dockerSocket, ['image', 'inspect', '-f', '{{len .RootFS.Layers}}', base])
  return Number(layers.trim())
}

/** Copies an image to other nodes, without the layers of the base that they have. */
async function copyImage(layout: LabLayout, from: NodeLayout, targets: readonly NodeLayout[], references: readonly string[], base: string) {
  const saved = join(layout.dir, `${references[0]?.replace(':', '-')}.tar`)
  await mustDocker(layout, from.dockerSocket, ['save', '-o', saved, ...references])
  const manifest = JSON.parse(await must(['tar', '-xOf', saved, 'manifest.json'])) as SavedManifest
  const skip = new Set((manifest[0]?.Layers ?? []).slice(0, await baseLayerCount(layout, from, base)))
  const stripped = `${saved}.stripped`
  await pipeline(
    filterTar(createReadStream(saved, { highWaterMark: 1 << 20 }), (name) => !skip.has(name)),
    createWriteStream(stripped),
  )
  await Promise.all(targets.map((node) => mustDocker(layout, node.dockerSocket, ['load', '-q', '-i', stripped])))
  for (const file of [saved, stripped]) rmSync(file)
}

async function deliver(layout: LabLayout, context: ImageContext, base: string): Promise<string> {
  const [first, ...others] = layout.nodes
  if (first === undefined) throw new Error('a lab without nodes')
  const reference = `${context.name}:${shortHash(base, context.hash)}`
  const dev = `${context.name}:dev`
  if (!(await hasImage(layout, first, reference))) {
    say(`building ${reference} …`)
    await buildOn(layout, first, context, reference, base)
  } else {
    await mustDocker(layout, first.dockerSocket, ['tag', reference, dev])
  }
  const lacking = await Promise.all(others.map(async (node) => ((await hasImage(layout, node, reference)) ? undefined : node)))
  const targets = lacking.filter((node) => node !== undefined)
  if (targets.length > 0) await copyImage(layout, first, targets, [reference, dev], base)
  const present = others.filter((node) => !targets.includes(node))
  await Promise.all(present.map((node) => mustDocker(layout, node.dockerSocket, ['tag', reference, dev])))
  return reference
}

/** Bundles the programs as they are in the checkout now and puts both images on all nodes. Gives their references. */
export async function loadProject(layout: LabLayout, images: BaseImages): Promise<string[]> {
  const [controller, node] = await buildContexts(layout.dir)
  return Promise.all([deliver(layout, controller, images.base.reference), deliver(layout, node, images.nodeBase.reference)])
}

/** The stand-in for git-sync, on the node that carries the manifests. */
export async function loadGitSync(layout: LabLayout, gitBase: CachedImage): Promise<string> {
  const [node] = layout.nodes
  if (node === undefined) throw new Error('a lab without nodes')
  await loadIfMissing(layout, node, gitBase)
  const context = join(import.meta.dirname, 'git-sync')
  await mustDocker(layout, node.dockerSocket, [
    'build',
    '-q',
    '--build-arg',
    `BASE_IMAGE=${gitBase.reference}`,
    '-t',
    gitSyncImage,
    context,
  ])
  return gitSyncImage
}

/** Removes what earlier states of the checkout left among the kept images. Only on a lab where nothing runs yet. */
export async function pruneImages(layout: LabLayout, images: BaseImages, project: readonly string[]): Promise<void> {
  const wanted = new Set([...Object.values(images).map((image) => image.reference), ...project])
  await Promise.all(
    layout.nodes.map(async ({ dockerSocket }) => {
      const listing = await mustDocker(layout, dockerSocket, ['image', 'ls', '--format', '{{.Repository}}:{{.Tag}}'])
      const old = listing.split('\n').filter((reference) => /^swarmvirt[a-z-]*:[0-9a-f]{16}$/.test(reference) && !wanted.has(reference))
      if (old.length > 0) await mustDocker(layout, dockerSocket, ['image', 'rm', ...old])
      await mustDocker(layout, dockerSocket, ['image', 'prune', '-f'])
    }),
  )
}
