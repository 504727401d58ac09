import { existsSync, readFileSync, renameSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { type BaseImages, ensureBaseImages, ensureGitBase } from './base-images.ts'
import { joinCgroup } from './cgroups.ts'
import { clearLab } from './clear.ts'
import { startHolder } from './daemons.ts'
import { getStatus, startDockerd, startDockerdOrWipe } from './engine.ts'
import { startSwitchServices, waitForSwitchServices } from './lan.ts'
import type { LabLayout, NodeLayout } from './layout.ts'
import { loadBases, loadGitSync, loadProject, pruneImages } from './load.ts'
import { withLock } from './lock.ts'
import { makeSwitches, plugIn } from './network.ts'
import { ensurePackages } from './packages.ts'
import { readRecord } from './processes.ts'
import { say } from './run.ts'
import { makeSwarm } from './swarm.ts'

/** How long one run may keep another waiting: a cold cache takes minutes. */
const lockTimeoutMs = 900_000

const completeFile = (layout: LabLayout): string => join(layout.dir, 'complete.json')

/** All services and daemons of a lab that once came up are there. */
export async function isUp(layout: LabLayout): Promise<boolean> {
  if (!existsSync(completeFile(layout))) return false
  const jobs = ['dnsmasq', 'www', 'registry', ...layout.nodes.map((node) => `${node.name}.holder`)]
  if (jobs.some((job) => readRecord(layout, job) === undefined)) return false
  const answers = await Promise.all(layout.nodes.map((node) => getStatus(node.dockerSocket, '/_ping')))
  return answers.every((code) => code === 200)
}

async function makeNode(layout: LabLayout, node: NodeLayout): Promise<void> {
  await plugIn(layout, node)
  await startHolder(layout, node.name, node.cgroup, node.dir, node.netns)
}

/** Gives a node power again: its namespace, its cables, its dockerd. Its disks are as it left them. */
export async function powerOn(layout: LabLayout, node: NodeLayout): Promise<void> {
  if (readRecord(layout, `${node.name}.holder`) === undefined) await makeNode(layout, node)
  await startDockerd(layout, node)
}

async function build(layout: LabLayout, images: BaseImages): Promise<void> {
  say('making two switches and three nodes …')
  await makeSwitches(layout)
  startSwitchServices(layout)
  await Promise.all(
    layout.nodes.map(async (node) => {
      await makeNode(layout, node)
      await startDockerdOrWipe(layout, node)
      say(`dockerd answers on ${node.name}`)
    }),
  )
  await Promise.all([
    Promise.all(layout.nodes.map((node) => loadBases(layout, node, images))),
    makeSwarm(layout),
    waitForSwitchServices(layout),
  ])
  noteComplete(layout, [])
}

function noteComplete(layout: LabLayout, images: readonly string[]): void {
  writeFileSync(`${completeFile(layout)}.new`, `${JSON.stringify({ images })}\n`)
  renameSync(`${completeFile(layout)}.new`, completeFile(layout))
}

/** References of the project's images as they were last loaded: controller, node. */
export function loadedImages(layout: LabLayout): string[] {
  return (JSON.parse(readFileSync(completeFile(layout), 'utf8')) as { images: string[] }).images
}

async function loadAndNote(layout: LabLayout, images: BaseImages): Promise<string[]> {
  const references = await loadProject(layout, images)
  noteComplete(layout, references)
  return references
}

/**
 * Starts the lab and returns the references of the project's images. First removes the remains of a killed run. Keeps a running lab unless
 * `fresh` is set, and only updates its images to those of this checkout.
 */
export async function up(layout: LabLayout, options: { readonly fresh: boolean }): Promise<string[]> {
  return withLock(layout.lab, lockTimeoutMs, async () => {
    const started = performance.now()
    const kept = !options.fresh && (await isUp(layout))
    if (!kept) await clearLab(layout)
    joinCgroup(layout.cgroup)
    await ensurePackages()
    const images = await ensureBaseImages(layout)
    if (!kept) await build(layout, images)
    // Up from here on: sources that do not bundle are no reason to build three nodes again.
    const references = await loadAndNote(layout, images)
    if (!kept) await pruneImages(layout, images, references)
    say(`lab "${layout.lab}" is up after ${((performance.now() - started) / 1000).toFixed(1)} s: ${references.join(' ')}`)
    return references
  })
}

/** Builds and loads the project's images again. */
export async function load(layout: LabLayout): Promise<string[]> {
  return withLock(layout.lab, lockTimeoutMs, async () => {
    if (!(await isUp(layout))) throw new Error('the lab is not up; run "npm run lab -- up"')
    joinCgroup(layout.cgroup)
    return loadAndNote(layout, await ensureBaseImages(layout))
  })
}

/** Builds and loads the stand-in for git-sync. */
export async function gitSync(layout: LabLayout): Promise<string> {
  return withLock(layout.lab, lockTimeoutMs, async () => {
    if (!(await isUp(layout))) throw new Error('the lab is not up; run "npm run lab -- up"')
    joinCgroup(layout.cgroup)
    return loadGitSync(layout, await ensureGitBase(layout))
  })
}

export async function down(layout: LabLayout): Promise<void> {
  await withLock(layout.lab, lockTimeoutMs, () => clearLab(layout))
}
