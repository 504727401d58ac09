import { beforeEach, describe, expect, it } from 'vitest'
import { documentTexts } from '../../../src/adapters/manifest/document-texts.ts'
import { manifestReader } from '../../../src/adapters/manifest/manifest-yaml.ts'
import { namedIn, objectNamed, type ReadTexts } from '../../../src/cli/declare/declared.ts'
import { deleteObjects } from '../../../src/cli/declare/delete.ts'
import type { Outcome } from '../../../src/cli/output/outcome.ts'
import { PortError } from '../../../src/ports/errors.ts'
import { manifest } from '../../e2e/support.ts'
import { type SwarmConfigs, swarmConfigs } from './swarm-configs.ts'

let swarm: SwarmConfigs
const applied = (source: string) => ({
  'swarmvirt.manifest': 'true',
  'swarmvirt.applied-by': 'docker-vm',
  'swarmvirt.applied-source': source,
})

beforeEach(() => {
  swarm = swarmConfigs()
})

function deleted(name: string, declared: () => Promise<string | undefined> = () => Promise.resolve(undefined)): Promise<Outcome> {
  const wanted = objectNamed(name)
  if (wanted === undefined) throw new Error(name)
  return deleteObjects({ docker: swarm, split: documentTexts, declared }, [wanted])
}

describe('docker vm delete -f', () => {
  const read = (text: string): ReadTexts => ({
    snapshots: [
      { source: 'directory', complete: true, message: '', documents: manifestReader()('directory', 'a.yaml', Buffer.from(text)) },
    ],
    files: [{ file: 'a.yaml', texts: documentTexts(text) }],
  })

  it('takes the names from manifests, even if these are invalid', () => {
    const wrong = manifest('web', { memory: 'much' })
    expect(namedIn(read(`${wrong}---\n${manifest('db')}`))).toMatchObject([{ name: 'web' }, { name: 'db' }])
  })

  it('refuses what names nothing', () => {
    expect(namedIn(read('a: ['))).toMatchObject({ exit: 1, err: expect.stringContaining('a.yaml') as string })
    expect(
      namedIn({ ...read(''), snapshots: [{ source: 'directory', complete: false, message: 'b.yaml cannot be read', documents: [] }] }),
    ).toMatchObject({
      exit: 2,
    })
  })
})

describe('docker vm delete', () => {
  it('removes every config of the VM that apply created, and says what happens to the VM', async () => {
    swarm.put({ data: manifest('web'), labels: applied('default') })
    swarm.put({ data: manifest('web', { memory: '1Gi' }), labels: applied('ci') })
    swarm.put({ data: manifest('web-2'), labels: applied('default') })
    const outcome = await deleted('web')
    expect(outcome).toMatchObject({ exit: 0, out: 'virtualmachine/web deleted\n' })
    expect(outcome.err).toMatch(/removal grace.*disks stay/)
    expect(swarm.configs().map((one) => one.data)).toEqual([manifest('web-2')])
  })

  it('removes the oldest first, so that what was superseded never counts again', async () => {
    swarm.put({ data: manifest('web'), labels: applied('default') })
    const newest = swarm.put({ data: manifest('web', { memory: '1Gi' }), labels: applied('default') })
    swarm.failAfter('config rm', 1, 'no leader')
    await expect(deleted('web')).rejects.toThrow('no leader')
    expect(swarm.configs()).toEqual([newest])
  })

  it("leaves a stack's config alone, and names where the VM is declared", async () => {
    swarm.put({ data: manifest('web'), labels: { 'swarmvirt.manifest': 'true', 'com.docker.stack.namespace': 'shop' } })
    expect(await deleted('web')).toEqual({
      exit: 1,
      out: '',
      err: 'error: virtualmachine/web is declared by config config-1 of stack shop: remove it there\n',
    })
    expect(swarm.configs()).toHaveLength(1)
  })

  it('names the manifest directory where the controller knows the VM and no config declares it', async () => {
    const outcome = await deleted('web', () => Promise.resolve('present'))
    expect(outcome.exit).toBe(1)
    expect(outcome.err).toContain("declared in the controller's manifest directory")
  })

  it('says that there is nothing, and that a directory may still declare it where the controller cannot be asked', async () => {
    expect((await deleted('web')).err).toBe('error: docker vm apply has not created virtualmachine/web\n')
    const unasked = await deleted('web', () => Promise.reject(new PortError('Unavailable', 'no answer')))
    expect(unasked.err).toContain('cannot tell whether a manifest directory declares it (no answer)')
  })

  it('tells a class from a VM of the same name', async () => {
    swarm.put({ data: manifest('small'), labels: applied('default') })
    expect((await deleted('class/small')).exit).toBe(1)
    expect(swarm.configs()).toHaveLength(1)
    expect((await deleted('vm/small')).exit).toBe(0)
  })
})
