import { chmodSync, readFileSync, rmSync, symlinkSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { SourcesView } from '../../src/api/wire/controller-api.ts'
import type { Deployment } from '../lab/deployment.ts'
import { run, until } from '../lab/run.ts'
import {
  conditionOf,
  containerOf,
  containersOf,
  manifest,
  openE2e,
  removeManifests,
  waitForCondition,
  waitGone,
  waitReady,
} from './support.ts'

const good = 'good'
let deployment: Deployment
let before: string

/** The errors about one file, as people read them. */
async function issuesOf(file: string): Promise<string> {
  return until(
    `an issue in ${file}`,
    30_000,
    async () => {
      const answer = await deployment.api('/api/v1/sources')
      const issues = (answer.body as SourcesView).sources.flatMap((source) => source.issues).filter((issue) => issue.includes(file))
      return issues.length > 0 ? issues.join('\n') : undefined
    },
    300,
  )
}

async function sourceOf(): Promise<SourcesView['sources'][number]> {
  const { sources } = (await deployment.api('/api/v1/sources')).body as SourcesView
  const found = sources.find(({ source }) => source === 'directory')
  if (found === undefined) throw new Error('there is no directory among the sources')
  return found
}

async function badFile(file: string, text: string): Promise<string> {
  deployment.writeManifest(file, text)
  const issues = await issuesOf(file)
  deployment.removeManifest(file)
  return issues
}

beforeAll(async () => {
  deployment = await openE2e()
  deployment.writeManifest(`${good}.yaml`, manifest(good))
  await waitReady(deployment, good)
  before = (await containerOf(deployment.lab, good)).id
})

afterAll(async () => {
  await removeManifests(deployment, [good, 'sum', 'nobridge'])
})

describe('bad input is reported with the problem, its place and the next step', () => {
  it('broken YAML', async () => {
    expect(await badFile('broken.yaml', 'apiVersion: [unclosed\nkind: x\n')).toMatch(/VM002[\s\S]*broken\.yaml:\d+:\d+/)
  })

  it('an unknown field, with its line and what was probably meant', async () => {
    const text = manifest('typo').replace('"cpu"', '"cpus"')
    expect(await badFile('typo.yaml', text)).toMatch(/VM012[\s\S]*typo\.yaml:\d+:\d+[\s\S]*did you mean "cpu"/)
  })

  it('a field that nothing stands behind yet', async () => {
    const text = manifest('early').replace('"accelerator": "auto"', '"accelerator": "auto", "placement": {}')
    expect(await badFile('early.yaml', text)).toMatch(/VM020[\s\S]*not supported yet/)
  })

  it('a name that is too long', async () => {
    expect(await badFile('long.yaml', manifest('x'.repeat(51)))).toMatch(/VM010[\s\S]*50 characters/)
  })

  it('an unreadable file, which removes nothing', async () => {
    deployment.writeManifest('secret.yaml', manifest('secret'))
    chmodSync(join(deployment.manifests, 'secret.yaml'), 0o000)
    expect(await issuesOf('secret.yaml')).toContain('VM001')
    deployment.removeManifest('secret.yaml')
  })

  it('a link to the control key, of which nothing is shown, in the API or by a check of the directory', async () => {
    const key = readFileSync(join(deployment.lab.node('n1').dir, 'credentials.json'), 'utf8')
    const [link, outside] = [join(deployment.manifests, 'extra.yaml'), join(deployment.lab.node('n1').dir, 'outside.txt')]
    writeFileSync(outside, `k: [${key}`)
    for (const target of ['/run/secrets/swarmvirt-control-key', '/run/secrets/swarmvirt-api-token', outside]) {
      symlinkSync(target, link)
      expect(await issuesOf('extra.yaml')).toMatch(
        /^error\[VM001\]: cannot be read: it leads out of the manifest directory\n --> extra\.yaml:1:1\nhelp: .*$/,
      )
      const { sources } = (await deployment.api('/api/v1/sources')).body as SourcesView
      expect(sources.find(({ source }) => source === 'directory')).toMatchObject({ complete: false })
      expect(JSON.stringify(sources)).not.toContain(deployment.token)
      const checked = await run([process.execPath, join(import.meta.dirname, '../../src/cli/main.ts'), 'validate', deployment.manifests])
      expect([checked.code, `${checked.stdout}${checked.stderr}`]).toEqual([2, expect.not.stringContaining(deployment.token)])
      rmSync(link)
      await until('the link to be gone', 30_000, async () => ((await sourceOf()).complete ? true : undefined), 300)
    }
    rmSync(outside)
  })

  it('a Deployment of a VM’s name, which is ignored: the VM is made beside it, and goes although it stays', async () => {
    deployment.writeManifest('a-deploy.yaml', 'apiVersion: apps/v1\nkind: Deployment\nmetadata: { name: beside }\nspec: {}\n')
    deployment.writeManifest('beside.yaml', manifest('beside', { runStrategy: 'Halted' }))
    await waitForCondition(deployment, 'beside', 'Ready', (one) => one.reason === 'Halted')
    expect(await sourceOf()).toMatchObject({
      complete: true,
      documents: { ignored: 1, invalid: 0 },
      ignored: [{ file: 'a-deploy.yaml', line: 1, kind: 'apps/v1 Deployment' }],
    })
    deployment.removeManifest('beside.yaml')
    await waitGone(deployment, 'beside')
    deployment.removeManifest('a-deploy.yaml')
  })

  it('an image with a wrong sha256', async () => {
    deployment.writeManifest('sum.yaml', manifest('sum', { sha256: '0'.repeat(64) }))
    const seen = await waitForCondition(deployment, 'sum', 'AssetsReady', (one) => one.reason === 'ImageChecksumMismatch')
    expect(conditionOf(seen, 'AssetsReady')?.message).toContain('0'.repeat(64))
  })

  it('a bridge that no node has', async () => {
    deployment.writeManifest('nobridge.yaml', manifest('nobridge', { bridge: 'br7' }))
    const seen = await waitForCondition(deployment, 'nobridge', 'Placed', (one) => one.status === 'False' && /br7/.test(one.message))
    for (const node of deployment.lab.nodes) expect(conditionOf(seen, 'Placed')?.message).toContain(node.name)
  })

  it('a file that was good and breaks: its VM keeps running as it was, and says so', async () => {
    deployment.writeManifest(`${good}.yaml`, manifest(good).replace('"memory"', '"memroy"'))
    const seen = await waitForCondition(deployment, good, 'Valid', (one) => one.status === 'False')
    expect(conditionOf(seen, 'Valid')?.message).toContain('memroy')
    expect((await containersOf(deployment.lab, good)).map((one) => one.id)).toEqual([before])
    deployment.writeManifest(`${good}.yaml`, manifest(good))
    await waitReady(deployment, good)
  })

  it('and through all of it the other VM was never touched', async () => {
    expect((await containersOf(deployment.lab, good)).map((one) => one.id)).toEqual([before])
  })
})
