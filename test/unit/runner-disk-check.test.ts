import { expect, test } from 'vitest'
import { DiskCheck, judgeCheck } from '../../runner/disk-check.ts'
import type { SpawnOptions } from '../../src/ports/child-process.ts'
import { recordingLog } from './runner-fakes.ts'

test.each<[string, number | undefined, string, object]>([
  ['a sound disk', 0, '{"check-errors": 0, "leaks-fixed": 0}', { kind: 'fine', repairedLeaks: 0 }],
  [
    'a disk with leaks that were repaired',
    0,
    'Repairing cluster 5\n{"check-errors": 0, "leaks-fixed": 3}',
    { kind: 'fine', repairedLeaks: 3 },
  ],
  ['a disk with leaks', 3, '{"check-errors": 0, "leaks": 2}', { kind: 'leaking' }],
  ['a corrupt disk', 2, '{"check-errors": 0, "corruptions": 4}', { kind: 'corrupt', corruptions: 4 }],
  [
    'a corrupt disk whose leaks were repaired',
    0,
    '{"check-errors": 0, "corruptions": 1, "leaks-fixed": 1}',
    { kind: 'corrupt', corruptions: 1 },
  ],
  ['a corrupt disk without a report', 2, 'ERROR', { kind: 'corrupt', corruptions: 0 }],
  ['a disk that another QEMU has', 1, 'qemu-img: Could not open: Failed to get "write" lock', { kind: 'unknown' }],
  ['a check with errors', 0, '{"check-errors": 1}', { kind: 'corrupt', corruptions: 1 }],
  ['a qemu-img that was killed', undefined, '', { kind: 'unknown' }],
])('%s', (_what, code, output, finding) => {
  expect(judgeCheck(code, output)).toMatchObject(finding)
})

const disks = [
  { name: 'root', path: '/vm/disks/root.qcow2', slot: 10, readOnly: false },
  { name: 'tools', path: '/vm/disks/tools.qcow2', slot: 11, readOnly: true },
]

function aCheck(code: number, output: string) {
  const files: Record<string, string> = {}
  const checked: string[] = []
  const commands: (readonly string[])[] = []
  const check = new DiskCheck({
    processes: {
      spawn: async (_file: string, args: readonly string[], { onOutput }: SpawnOptions) => {
        checked.push(args.at(-1) ?? '')
        commands.push(args)
        onOutput(Buffer.from(output))
        return { pid: 1, channels: [], ended: Promise.resolve({ kind: 'exited' as const, code }), kill: () => undefined }
      },
    },
    files: {
      async readText(path) {
        const text = files[path]
        if (text === undefined) throw Object.assign(new Error('ENOENT'), { code: 'ENOENT' })
        return text
      },
      replaceText: async (path, text) => void (files[path] = text),
    },
    qemuImg: 'qemu-img',
    markPath: 'mark',
    log: recordingLog(),
  })
  return { check, checked, commands, files }
}

test('only disks whose QEMU did not close them are checked, and only those that a guest writes', async () => {
  const { check, checked } = aCheck(0, '{"check-errors": 0}')
  expect(await check.whyNot(disks)).toBeUndefined()
  await check.opened()
  await check.closed()
  expect(await check.whyNot(disks)).toBeUndefined()
  expect(checked).toEqual([])
  await check.opened()
  expect(await check.whyNot(disks)).toBeUndefined()
  expect(checked).toEqual(['/vm/disks/root.qcow2'])
})

test('a corrupt disk is not given to the guest, and the message says what to do', async () => {
  const { check } = aCheck(2, '{"check-errors": 0, "corruptions": 4}')
  await check.opened()
  expect(await check.whyNot(disks)).toMatch(/^disk root is corrupt \(4 errors\).*qemu-img check -r all disks\/root\.qcow2/)
})

test('a check that was not possible does not keep a VM off, and is made at the next start', async () => {
  const { check, checked } = aCheck(1, 'Failed to get "write" lock')
  await check.opened()
  expect(await check.whyNot(disks)).toBeUndefined()
  await check.closed()
  expect(await check.whyNot(disks)).toBeUndefined()
  expect(checked).toHaveLength(2)
})

test('only a disk whose one fault is leaks is repaired, since behind a damaged table data looks like a leak', async () => {
  const repairs = async (code: number, output: string): Promise<readonly boolean[]> => {
    const { check, commands } = aCheck(code, output)
    await check.opened()
    await check.whyNot(disks)
    return commands.map((args) => args.includes('-r'))
  }
  expect(await repairs(3, '{"check-errors": 0, "leaks": 2}')).toEqual([false, true])
  expect(await repairs(2, '{"check-errors": 0, "corruptions": 1, "leaks": 2}')).toEqual([false])
})
