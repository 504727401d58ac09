import { existsSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { buildContexts } from '../../scripts/build-images.ts';
import { type BaseImages, ensureBaseImages } from './base-images.ts';
import { joinCgroup } from './cgroups.ts';
import { clearLab } from './clear.ts';
import { startHolder } from './daemons.ts';
import { getStatus, startDockerdOrWipe } from './engine.ts';
import { startSwitchServices } from './lan.ts';
import type { LabLayout, NodeLayout } from './layout.ts';
import { loadBases, loadProject } from './load.ts';
import { withLock } from './lock.ts';
import { makeSwitches, plugIn } from './network.ts';
import { ensurePackages } from './packages.ts';
import { readRecord } from './processes.ts';
import { say } from './run.ts';
import { makeSwarm } from './swarm.ts';

/** How long one run may keep another waiting: a cold cache takes minutes. */
const lockTimeoutMs = 900_000;

const completeFile = (layout: LabLayout): string => join(layout.dir, 'complete.json');

/** All services and daemons of a lab that once came up are there. */
export async function isUp(layout: LabLayout): Promise<boolean> {
  if (!existsSync(completeFile(layout))) return false;
  const jobs = ['dnsmasq', 'www', 'registry', ...layout.nodes.map((node) => `${node.name}.holder`)];
  if (jobs.some((job) => readRecord(layout, job) === undefined)) return false;
  const answers = await Promise.all(layout.nodes.map((node) => getStatus(node.dockerSocket, '/_ping')));
  return answers.every((code) => code === 200);
}

/** Gives a node power: its namespace, its cables, its dockerd. Its disks are as it left them. */
export async function powerOn(layout: LabLayout, node: NodeLayout): Promise<void> {
  await plugIn(layout, node);
  await startHolder(layout, node.name, node.cgroup, node.dir, node.netns);
  await startDockerdOrWipe(layout, node);
}

async function build(layout: LabLayout, images: BaseImages): Promise<string[]> {
  const contexts = buildContexts(layout.dir);
  // Judged where it is awaited; until then a failed bundle must not end the program.
  contexts.catch(() => undefined);
  say('making two switches and three nodes …');
  await makeSwitches(layout);
  startSwitchServices(layout);
  await Promise.all(layout.nodes.map(async (node) => {
    await powerOn(layout, node);
    say(`dockerd answers on ${node.name}`);
  }));
  const [references] = await Promise.all([
    Promise.all(layout.nodes.map((node) => loadBases(layout, node, images))).then(() => loadProject(layout, images, contexts)),
    makeSwarm(layout),
  ]);
  return references;
}

/**
 * Brings the lab up and gives the references of the project's images. What a killed run left is cleared first; a lab
 * that is up already is kept, unless `fresh`, and only gets the images of the checkout as it is now.
 */
export async function up(layout: LabLayout, options: { readonly fresh: boolean }): Promise<string[]> {
  return withLock(layout.lab, lockTimeoutMs, async () => {
    const started = performance.now();
    const kept = !options.fresh && (await isUp(layout));
    if (!kept) await clearLab(layout);
    joinCgroup(layout.cgroup);
    await ensurePackages();
    const images = await ensureBaseImages(layout);
    const references = kept ? await loadProject(layout, images) : await build(layout, images);
    writeFileSync(completeFile(layout), `${JSON.stringify({ images: references })}\n`);
    say(`lab "${layout.lab}" is up after ${((performance.now() - started) / 1000).toFixed(1)} s: ${references.join(' ')}`);
    return references;
  });
}

/** Builds and loads the project's images again. */
export async function load(layout: LabLayout): Promise<string[]> {
  return withLock(layout.lab, lockTimeoutMs, async () => {
    if (!(await isUp(layout))) throw new Error('the lab is not up; run "npm run lab -- up"');
    joinCgroup(layout.cgroup);
    return loadProject(layout, await ensureBaseImages(layout));
  });
}

export async function down(layout: LabLayout): Promise<void> {
  await withLock(layout.lab, lockTimeoutMs, () => clearLab(layout));
}
