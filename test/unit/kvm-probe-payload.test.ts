import { spawnSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it } from 'vitest'
import { kvmProbeImage, probeExitCode } from '../../src/agent/kvm-probe/payload.ts'

const SOURCE = join(import.meta.dirname, '../../src/agent/kvm-probe/payload.S')
const canAssemble =
  process.arch === 'x64' && ['as', 'ld', 'objcopy'].every((program) => spawnSync(program, ['--version']).error === undefined)

describe('the KVM probe’s disk', () => {
  it('is one boot sector followed by zeros up to 1 MiB', () => {
    const image = kvmProbeImage()
    expect(image.length).toBe(1024 * 1024)
    expect([...image.subarray(510, 512)]).toEqual([0x55, 0xaa])
    expect(image.subarray(512).every((byte) => byte === 0)).toBe(true)
  })

  it('leaves the place of the partition table empty, so that no BIOS takes code for partitions', () => {
    expect(
      kvmProbeImage()
        .subarray(446, 510)
        .every((byte) => byte === 0),
    ).toBe(true)
  })

  it('makes QEMU end with 85', () => {
    expect(probeExitCode).toBe(85)
  })

  it.runIf(canAssemble)('holds what payload.S assembles to', () => {
    expect(Buffer.from(kvmProbeImage().subarray(0, 512)).toString('base64')).toBe(assemble().toString('base64'))
  })
})

function assemble(): Buffer {
  const directory = mkdtempSync(join(tmpdir(), 'payload-'))
  const [object, linked, binary] = ['payload.o', 'payload.elf', 'payload.bin'].map((name) => join(directory, name)) as [
    string,
    string,
    string,
  ]
  try {
    succeed('as', ['--64', '-o', object, SOURCE])
    succeed('ld', ['-m', 'elf_x86_64', '-N', '-Ttext=0x7c00', '-e', 'start', '-o', linked, object])
    succeed('objcopy', ['-O', 'binary', '-j', '.text', linked, binary])
    return readFileSync(binary)
  } finally {
    rmSync(directory, { recursive: true })
  }
}

function succeed(program: string, args: string[]): void {
  const { status, stderr } = spawnSync(program, args, { encoding: 'utf8' })
  if (status !== 0) throw new Error(`${program}: ${stderr}`)
}
