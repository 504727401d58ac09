import { mkdirSync, mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { afterEach, beforeEach, describe, expect, test } from 'vitest'
import { type RunnerConfig, vmPaths } from '../../runner/config.ts'
import { firmwareArguments, firmwareMachine } from '../../runner/devices/firmware.ts'
import { prepareFirmware } from '../../runner/firmware.ts'
import { runnerFiles } from '../../src/adapters/node/runner-files.ts'
import type { Firmware } from '../../src/api/wire/common.ts'

let root: string
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'sv-'))
  for (const directory of ['vm', 'vm/firmware', 'ovmf']) mkdirSync(join(root, directory))
  for (const name of ['plain', 'secure']) writeFileSync(join(root, 'ovmf', name), `template ${name}`)
})
afterEach(() => rmSync(root, { recursive: true }))

const at = (name: string): string => join(root, 'vm/firmware', name)
const text = (name: string): string => readFileSync(at(name), 'utf8')

function prepare(firmware: Firmware | undefined) {
  const ovmf: RunnerConfig['ovmf'] = (secure) => ({ code: '/code.fd', variables: join(root, 'ovmf', secure ? 'secure' : 'plain') })
  return prepareFirmware({ files: runnerFiles, config: { ovmf }, paths: vmPaths(join(root, 'vm')) }, firmware)
}

describe('UEFI variables', () => {
  test('are created once and then kept, also through starts with BIOS', async () => {
    expect(await prepare({ mode: 'uefi' })).toMatchObject({ uefi: { code: '/code.fd', variables: at('variables.fd'), secure: false } })
    writeFileSync(at('variables.fd'), 'of the guest')
    await prepare(undefined)
    await prepare({ mode: 'bios', tpm: true })
    await prepare({ mode: 'uefi' })
    expect(text('variables.fd')).toBe('of the guest')
  })

  test('of secure boot are others, with its keys', async () => {
    await prepare({ mode: 'uefi' })
    expect(await prepare({ mode: 'uefi', secureBoot: true })).toMatchObject({
      uefi: { variables: at('variables-secure.fd'), secure: true },
    })
    expect([text('variables.fd'), text('variables-secure.fd')]).toEqual(['template plain', 'template secure'])
  })

  test('that are lost are not replaced by empty ones', async () => {
    await prepare({ mode: 'uefi' })
    rmSync(at('variables.fd'))
    await expect(prepare({ mode: 'uefi' })).rejects.toMatchObject({
      exit: 'FirmwareFailed',
      message: expect.stringContaining('is missing'),
    })
    writeFileSync(at('state.json'), '{"version":1,"files":[]}')
    await prepare({ mode: 'uefi' })
    expect(text('variables.fd')).toBe('template plain')
  })

  test('need the directory that the agent creates', async () => {
    rmSync(join(root, 'vm/firmware'), { recursive: true })
    await expect(prepare({ mode: 'uefi' })).rejects.toMatchObject({ exit: 'FirmwareFailed' })
  })
})

test('the state of a TPM that is lost stops the start', async () => {
  await prepare({ mode: 'bios', tpm: true })
  writeFileSync(at('tpm2-00.permall'), 'secrets')
  await prepare({ mode: 'bios', tpm: true })
  const { mtimeMs } = statSync(at('state.json'))
  await prepare({ mode: 'bios', tpm: true })
  expect(statSync(at('state.json')).mtimeMs).toBe(mtimeMs)
  rmSync(at('tpm2-00.permall'))
  await expect(prepare({ mode: 'bios', tpm: true })).rejects.toThrow(/the state of the TPM existed before/)
})

describe('a kernel', () => {
  const sha256 = 'a'.repeat(64)

  test('is the file whose hash the agent recorded for its name', async () => {
    writeFileSync(join(root, 'vm/boot-files.json'), JSON.stringify({ version: 1, files: [{ source: 'images/vmlinuz', sha256 }] }))
    const found = await prepare({ mode: 'bios', kernel: { image: 'images/vmlinuz', args: 'quiet' } })
    expect(found?.kernel).toEqual({ image: join(root, `vm/images/${sha256}`), initrd: undefined, args: 'quiet' })
    await expect(prepare({ mode: 'bios', kernel: { image: 'images/other' } })).rejects.toThrow(/does not name images\/other/)
  })

  test.each(['-device,x', 'a,b=c json:{} "\'\\ %s $(reboot)', '--', ''])('has its arguments in one argument of QEMU: %j', (args) => {
    const kernel = { image: '/k', initrd: '/i', args }
    expect(firmwareArguments({ uefi: undefined, kernel })).toEqual(['-kernel', '/k', '-initrd', '/i', '-append', args])
  })
})

test('QEMU gets code and variables as flash, and protects them for secure boot', () => {
  const uefi = { code: '/c', variables: '/v', secure: true }
  expect(firmwareMachine({ uefi, kernel: undefined })).toBe(',pflash0=firmware-code,pflash1=firmware-variables,smm=on')
  expect(firmwareMachine({ uefi: { ...uefi, secure: false }, kernel: undefined })).not.toContain('smm')
  const args = firmwareArguments({ uefi, tpmSocket: '/tmp/tpm.sock', kernel: undefined })
  const nodes = args.filter((arg) => arg.startsWith('{')).map((arg) => JSON.parse(arg) as unknown)
  expect(nodes).toMatchObject([{ 'read-only': true }, { file: { filename: '/v', locking: 'on' } }, { driver: 'tpm-crb' }])
  expect(args).toContain('driver=cfi.pflash01,property=secure,value=on')
  expect([firmwareMachine(undefined), firmwareArguments(undefined)]).toEqual(['', []])
})
