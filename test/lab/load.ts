/** Brings images to the nodes: the slow ones from the cache, the project's own built on the first node and copied. */
import { buildContexts, type ImageContext } from '../../scripts/build-images.ts';
import { type BaseImages, type CachedImage, shortHash } from './base-images.ts';
import { docker, dockerArgv, dockerEnv, mustDocker } from './engine.ts';
import type { LabLayout, NodeLayout } from './layout.ts';
import { pipeCommands } from './pipe.ts';
import { say } from './run.ts';
import { filterTar } from './tar.ts';

export async function loadArchive(layout: LabLayout, socket: string, archive: string): Promise<void> {
  await pipeCommands([{ argv: ['zstd', '-q', '-d', '-c', archive] }, { argv: dockerArgv(socket, ['load', '-q']), env: dockerEnv(layout) }]);
}

async function hasImage(layout: LabLayout, node: NodeLayout, reference: string): Promise<boolean> {
  return (await docker(layout, node.dockerSocket, ['image', 'inspect', '-f', '{{.Id}}', reference])).code === 0;
}

/** Loads onto one node what it lacks of the images that take long. */
export async function loadBases(layout: LabLayout, node: NodeLayout, images: BaseImages): Promise<void> {
  for (const image of [images.tiny, images.base, images.nodeBase]) await loadIfMissing(layout, node, image);
}

async function loadIfMissing(layout: LabLayout, node: NodeLayout, image: CachedImage): Promise<void> {
  if (await hasImage(layout, node, image.reference)) return;
  say(`loading ${image.reference} on ${node.name} …`);
  await loadArchive(layout, node.dockerSocket, image.archive);
}

/** The bundles' layer on top of a base that the node has. Tagged with its content's hash, and `dev`. */
async function buildOn(layout: LabLayout, node: NodeLayout, context: ImageContext, reference: string, base: string): Promise<void> {
  const dockerfile = context.dockerfileOn(base);
  const args = ['build', '-q', '--build-arg', `BASE_IMAGE=${base}`, '-t', reference, '-t', `${context.name}:dev`, '-f', '-', context.dir];
  await mustDocker(layout, node.dockerSocket, args, { input: dockerfile });
}

type SavedManifest = readonly { readonly Layers: readonly string[] }[];

/** Layers come in order; those of the base are on the other node already, and `docker load` skips what it has. */
async function baseLayerCount(layout: LabLayout, node: NodeLayout, base: string): Promise<number> {
  const layers = await mustDocker(layout, node.dockerSocket, ['image', 'inspect', '-f', '{{len .RootFS.Layers}}', base]);
  return Number(layers.trim());
}

async function savedLayers(layout: LabLayout, node: NodeLayout, reference: string): Promise<readonly string[]> {
  let text = '';
  const save = { argv: dockerArgv(node.dockerSocket, ['save', reference]), env: dockerEnv(layout) };
  await pipeCommands([save, { argv: ['cat'] }], async function* (bytes) {
    for await (const chunk of filterTar(bytes, (name) => name === 'manifest.json')) text += chunk.toString('latin1');
  });
  const manifest = JSON.parse(text.slice(text.indexOf('[{'), text.lastIndexOf('}]') + 2)) as SavedManifest;
  return manifest[0]?.Layers ?? [];
}

/** Copies an image without the layers of the base that both nodes have. */
async function copyImage(layout: LabLayout, from: NodeLayout, to: NodeLayout, references: readonly string[], skip: ReadonlySet<string>): Promise<void> {
  const save = { argv: dockerArgv(from.dockerSocket, ['save', ...references]), env: dockerEnv(layout) };
  const load = { argv: dockerArgv(to.dockerSocket, ['load', '-q']), env: dockerEnv(layout) };
  await pipeCommands([save, load], (bytes) => filterTar(bytes, (name) => !skip.has(name)));
}

async function deliver(layout: LabLayout, context: ImageContext, base: string): Promise<string> {
  const [first, ...others] = layout.nodes;
  if (first === undefined) throw new Error('a lab without nodes');
  const reference = `${context.name}:${shortHash(base, context.hash)}`;
  const dev = `${context.name}:dev`;
  if (!(await hasImage(layout, first, reference))) {
    say(`building ${reference} …`);
    await buildOn(layout, first, context, reference, base);
  } else {
    await mustDocker(layout, first.dockerSocket, ['tag', reference, dev]);
  }
  const lacking = await Promise.all(others.map(async (node) => ((await hasImage(layout, node, reference)) ? undefined : node)));
  const targets = lacking.filter((node) => node !== undefined);
  if (targets.length > 0) {
    const skip = new Set((await savedLayers(layout, first, reference)).slice(0, await baseLayerCount(layout, first, base)));
    await Promise.all(targets.map((node) => copyImage(layout, first, node, [reference, dev], skip)));
  }
  const present = others.filter((node) => !targets.includes(node));
  await Promise.all(present.map((node) => mustDocker(layout, node.dockerSocket, ['tag', reference, dev])));
  return reference;
}

/** Bundles the programs as they are in the checkout now and puts both images on all nodes. Gives their references. */
export async function loadProject(layout: LabLayout, images: BaseImages, contexts = buildContexts(layout.dir)): Promise<string[]> {
  const [controller, node] = await contexts;
  return Promise.all([deliver(layout, controller, images.base.reference), deliver(layout, node, images.nodeBase.reference)]);
}
