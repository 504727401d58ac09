import { describe, expect, test } from 'vitest'
import { type LiveInputs, LiveMachine } from '../../runner/live-part.ts'
import { QmpError } from '../../runner/qmp.ts'
import { recordingLog } from './runner-fakes.ts'

const first: LiveInputs = {
  sizes: [],
  limits: [{ name: 'root', device: 'disk0-device', iops: 0, bytes: 0 }],
  discs: [{ name: 'tools', path: undefined }],
  links: [{ name: 'lan', device: 'nic0-device', up: true }],
  memory: { fullBytes: 512, targetBytes: 512 },
}

/** A QEMU that refuses these commands, with the commands that it got. */
function aMachine(...refused: readonly string[]) {
  const sent: string[] = []
  const refuses = new Set(refused)
  const execute = async (command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> => {
    if (refuses.has(command)) throw new QmpError('GenericError: no')
    if (command === 'query-named-block-nodes') return [{ 'node-name': 'disk0', image: { 'virtual-size': 1024 } }]
    const named = args['node-name'] ?? args['id'] ?? args['name'] ?? args['value']
    sent.push(`${command} ${String(named)}`)
    return {}
  }
  return { sent, refuses, machine: new LiveMachine({ execute }, recordingLog()) }
}

describe('a machine', () => {
  test('that should be as QEMU begins gets no command', async () => {
    const { sent, machine } = aMachine()
    expect(await machine.apply(first)).toEqual([])
    expect(sent).toEqual([])
  })

  test.each<[string, Partial<LiveInputs>, readonly string[]]>([
    ['a link that is down', { links: [{ name: 'lan', device: 'nic0-device', up: false }] }, ['set_link nic0-device']],
    ['a limit', { limits: [{ name: 'root', device: 'disk0-device', iops: 100, bytes: 0 }] }, ['block_set_io_throttle disk0-device']],
    ['a target of the memory', { memory: { fullBytes: 512, targetBytes: 256 } }, ['balloon 256']],
    ['a larger disk', { sizes: [{ node: 'disk0', sizeBytes: 2048 }] }, ['block_resize disk0']],
    [
      'a disc',
      { discs: [{ name: 'tools', path: '/vm/isos/a' }] },
      ['blockdev-open-tray cdrom0', 'blockdev-add cdrom0-disc1', 'blockdev-insert-medium cdrom0-disc1', 'blockdev-close-tray cdrom0'],
    ],
  ])('gets %s once, however often it is asked', async (_what, change, commands) => {
    const { sent, machine } = aMachine()
    expect(await machine.apply({ ...first, ...change })).toEqual([])
    expect(sent).toEqual(commands)
    if (change.sizes !== undefined) return
    await machine.apply({ ...first, ...change })
    expect(sent).toEqual(commands)
  })

  test('returns to what QEMU began with', async () => {
    const { sent, machine } = aMachine()
    await machine.apply({
      ...first,
      links: [{ name: 'lan', device: 'nic0-device', up: false }],
      memory: { fullBytes: 512, targetBytes: 256 },
    })
    sent.splice(0)
    await machine.apply(first)
    expect(sent).toEqual(['set_link nic0-device', 'balloon 512'])
  })

  test('loses its old disc before it gets another one, and an ejected one leaves an empty drive', async () => {
    const { sent, machine } = aMachine()
    await machine.apply({ ...first, discs: [{ name: 'tools', path: '/vm/isos/a' }] })
    sent.splice(0)
    await machine.apply({ ...first, discs: [{ name: 'tools', path: '/vm/isos/b' }] })
    expect(sent).toEqual([
      'blockdev-open-tray cdrom0',
      'blockdev-remove-medium cdrom0',
      'blockdev-del cdrom0-disc1',
      'blockdev-add cdrom0-disc2',
      'blockdev-insert-medium cdrom0-disc2',
      'blockdev-close-tray cdrom0',
    ])
    sent.splice(0)
    await machine.apply(first)
    expect(sent.at(-1)).toBe('blockdev-close-tray cdrom0')
    expect(sent).not.toContain('blockdev-add cdrom0-disc3')
  })

  test('gets what QEMU takes also after something that it refuses, which is tried again', async () => {
    const { sent, refuses, machine } = aMachine('set_link', 'block_resize')
    const wanted = {
      ...first,
      links: [{ name: 'lan', device: 'nic0-device', up: false }],
      memory: { fullBytes: 512, targetBytes: 256 },
      sizes: [{ node: 'disk0', sizeBytes: 2048 }],
    }
    expect(await machine.apply(wanted)).toEqual(['link of network lan: GenericError: no', 'size of disk0: GenericError: no'])
    expect(sent).toEqual(['balloon 256'])
    refuses.clear()
    expect(await machine.apply(wanted)).toEqual([])
    expect(sent).toEqual(['balloon 256', 'set_link nic0-device', 'block_resize disk0'])
  })

  test('that could not open a disc has an empty drive, and gets the disc later', async () => {
    const { sent, refuses, machine } = aMachine()
    await machine.apply({ ...first, discs: [{ name: 'tools', path: '/vm/isos/a' }] })
    refuses.add('blockdev-add')
    expect(await machine.apply({ ...first, discs: [{ name: 'tools', path: '/vm/isos/b' }] })).toEqual([
      'disc of drive tools: GenericError: no',
    ])
    refuses.clear()
    sent.splice(0)
    expect(await machine.apply({ ...first, discs: [{ name: 'tools', path: '/vm/isos/b' }] })).toEqual([])
    expect(sent).not.toContain('blockdev-remove-medium cdrom0')
  })
})
