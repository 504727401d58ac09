/** UEFI, secure boot and TPM, as guests see them. */
import { existsSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import type { Deployment } from '../lab/deployment.ts'
import { until } from '../lab/run.ts'
import {
  containerOf,
  guestPage,
  instanceDirectory,
  manifest,
  nodeOfVm,
  openE2e,
  otherNode,
  removeManifests,
  serialLog,
  uidOf,
  waitBooted,
  waitForCondition,
  waitReady,
} from '../e2e/support.ts'

const [signed, unsigned] = ['fw-signed', 'fw-unsigned']
const secure = { mode: 'uefi', secureBoot: true, tpm: true }
/** OVMF takes 25 s on an idle machine without KVM, and GRUB as long. */
const bootMs = 300_000
let deployment: Deployment
let ip: string

function declare(name: string, image: string, firmware: object): void {
  deployment.writeManifest(`${name}.yaml`, manifest(name, { image: `images/${image}`, memory: '384Mi', more: { firmware } }))
}

async function page(name: string, path: string): Promise<string> {
  const from = otherNode(deployment.lab, await nodeOfVm(deployment.lab, name))
  const address = (await deployment.vm(name))?.facts['ip'] ?? ip
  return guestPage(deployment.lab, address, from, path, 30_000)
}

async function directoryOf(name: string): Promise<string> {
  return instanceDirectory(deployment.lab, await nodeOfVm(deployment.lab, name), await uidOf(deployment.lab, name))
}

beforeAll(async () => {
  deployment = await openE2e()
  declare(signed, 'tiny-signed.qcow2', secure)
  declare(unsigned, 'tiny-uefi.qcow2', { mode: 'uefi', secureBoot: true })
  ip = (await waitReady(deployment, signed, bootMs)).facts['ip'] ?? ''
}, bootMs)

afterAll(() => removeManifests(deployment, [signed, unsigned]))

describe('a VM with UEFI, secure boot and a TPM', () => {
  it('boots a signed system, and shows no unsigned one', async () => {
    expect(await page(signed, '/machine')).toContain('firmware uefi')
    const node = await nodeOfVm(deployment.lab, unsigned)
    const uid = await uidOf(deployment.lab, unsigned)
    await until('the refusal', bootMs, async () => (/Access Denied/.test(serialLog(deployment.lab, node, uid)) ? true : undefined), 1_000)
    expect(serialLog(deployment.lab, node, uid)).not.toContain('swarmvirt-guest')
  })

  it('keeps its UEFI variables and the state of its TPM through a restart and a kill', async () => {
    expect([await page(signed, '/cgi-bin/variable?kept'), await page(signed, '/cgi-bin/tpm?eightchr')]).toEqual(['kept', 'eightchr'])
    await deployment.lab.mustDocker('n1', ['service', 'update', '--detach', '--force', `vm-${signed}`])
    await waitBooted(deployment, signed, ip, 2)
    expect([await page(signed, '/cgi-bin/variable'), await page(signed, '/cgi-bin/tpm')]).toEqual(['kept', 'eightchr'])
    const { node, id } = await containerOf(deployment.lab, signed)
    await deployment.lab.mustDocker(node, ['kill', '--signal', 'KILL', id])
    await waitBooted(deployment, signed, ip, 3)
    expect([await page(signed, '/cgi-bin/variable'), await page(signed, '/cgi-bin/tpm')]).toEqual(['kept', 'eightchr'])
  })

  it('has its state beside its disks', async () => {
    const files = readdirSync(join(await directoryOf(signed), 'firmware')).filter((name) => !name.startsWith('.'))
    expect(files).toEqual(expect.arrayContaining(['state.json', 'tpm2-00.permall', 'variables-secure.fd']))
  })

  it('boots the unsigned system without secure boot, with variables of its own', async () => {
    declare(unsigned, 'tiny-uefi.qcow2', { mode: 'uefi' })
    await waitForCondition(deployment, unsigned, 'RestartRequired', (one) => one.status === 'True')
    await deployment.lab.mustDocker('n1', ['service', 'update', '--detach', '--force', `vm-${unsigned}`])
    await waitReady(deployment, unsigned, bootMs)
    expect(await page(unsigned, '/machine')).toContain('firmware uefi')
    const directory = await directoryOf(unsigned)
    expect(['variables.fd', 'variables-secure.fd'].map((name) => existsSync(join(directory, 'firmware', name)))).toEqual([true, true])
  })
})
