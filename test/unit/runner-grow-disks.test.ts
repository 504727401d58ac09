import { expect, test } from 'vitest'
import { growDisks } from '../../runner/grow-disks.ts'
import { QmpError } from '../../runner/qmp.ts'
import { recordingLog } from './runner-fakes.ts'

/** A QEMU whose block nodes have these sizes. */
function aQemu(sizes: Record<string, number>, refuses = false) {
  const execute = async (command: string, args: Readonly<Record<string, unknown>> = {}): Promise<unknown> => {
    if (command === 'query-named-block-nodes')
      return Object.entries(sizes).map(([name, size]) => ({ 'node-name': name, image: { 'virtual-size': size } }))
    if (refuses) throw new QmpError('Cannot resize')
    sizes[String(args['node-name'])] = Number(args['size'])
    return {}
  }
  return { sizes, execute }
}

test('a disk grows to the size of the launch config, and a larger one is never made smaller', async () => {
  const qemu = aQemu({ disk0: 1024, disk1: 3072, seed: 1 })
  const wanted = [
    { node: 'disk0', sizeBytes: 2048 },
    { node: 'disk1', sizeBytes: 2048 },
  ]
  await growDisks(qemu, wanted, recordingLog())
  expect(qemu.sizes).toEqual({ disk0: 2048, disk1: 3072, seed: 1 })
})

test('a size that is no multiple of a sector is rounded up, since QEMU refuses it', async () => {
  const qemu = aQemu({ disk0: 1024 })
  await growDisks(qemu, [{ node: 'disk0', sizeBytes: 2049 }], recordingLog())
  expect(qemu.sizes).toEqual({ disk0: 2560 })
})

test('a node that QEMU does not have is left alone', async () => {
  const qemu = aQemu({ disk0: 10 })
  await growDisks(qemu, [{ node: 'disk1', sizeBytes: 20 }], recordingLog())
  expect(qemu.sizes).toEqual({ disk0: 10 })
})

test('a disk that cannot grow keeps its size, and the guest starts', async () => {
  const qemu = aQemu({ disk0: 10 }, true)
  await growDisks(qemu, [{ node: 'disk0', sizeBytes: 20 }], recordingLog())
  expect(qemu.sizes).toEqual({ disk0: 10 })
})
