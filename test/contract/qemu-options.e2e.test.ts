/** QEMU as it reads the options of a VM: what it made of them, and strings that try to be more than one value. */
import { type ChildProcess, execFileSync, spawn } from 'node:child_process'
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createInterface } from 'node:readline'
import fc from 'fast-check'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { childProcesses } from '../../src/adapters/node/child-process.ts'
import { cdromId, discNode } from '../../runner/devices/cdroms.ts'
import { qemuArguments } from '../../runner/qemu-arguments.ts'
import { Qmp } from '../../runner/qmp.ts'
import { systemClock } from '../../src/adapters/process/system-clock.ts'
import { byText } from '../../src/api/order.ts'
import { hostileString } from '../property/strings/hostile-strings.ts'
import { placesOf } from '../property/strings/qemu-options.ts'
import { isWhole } from '../whole.ts'

const qemu = 'qemu-system-x86_64'
let directory: string
beforeAll(() => {
  directory = mkdtempSync(join(tmpdir(), 'svqo-'))
  mkdirSync(join(directory, 'names'))
})
afterAll(() => rmSync(directory, { recursive: true }))

/** A QEMU that answers on its standard output. */
class Answering {
  readonly child: ChildProcess
  readonly #waiting: ((answer: { return?: unknown; error?: { desc: string } }) => void)[] = []

  constructor(args: readonly string[]) {
    this.child = spawn(qemu, ['-nodefaults', '-no-user-config', '-display', 'none', '-S', '-qmp', 'stdio', ...args], {
      stdio: ['pipe', 'pipe', 'ignore'],
    })
    createInterface({ input: this.child.stdout as NonNullable<ChildProcess['stdout']> }).on('line', (line) => {
      const answer = JSON.parse(line) as { return?: unknown; error?: { desc: string } }
      if ('return' in answer || 'error' in answer) this.#waiting.shift()?.(answer)
    })
    this.child.once('exit', () => {
      for (const answer of this.#waiting.splice(0)) answer({ error: { desc: 'QEMU ended' } })
    })
    void this.ask('qmp_capabilities')
  }

  ask(execute: string, given?: object): Promise<{ return?: unknown; error?: { desc: string } }> {
    return new Promise((resolve) => {
      this.#waiting.push(resolve)
      this.child.stdin?.write(`${JSON.stringify({ execute, ...(given && { arguments: given }) })}\n`)
    })
  }
}

describe('a machine with the options of a VM', () => {
  it('has no floppy, VGA, USB, sound or network device beyond its own, and no other way in than QMP', async () => {
    const disk = join(directory, 'root.qcow2')
    execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', disk, '16M'])
    writeFileSync(join(directory, 'seed.iso'), Buffer.alloc(2048))
    const version = /version (\d+\.\d+)/.exec(execFileSync(qemu, ['--version'], { encoding: 'utf8' }))?.[1] ?? ''
    const args = qemuArguments({
      uid: '11111111-1111-4111-8111-111111111111',
      vm: 'web-1',
      machineType: `pc-q35-${version}`,
      cpu: { cores: 1, model: undefined },
      memoryMiB: 64,
      accelerator: 'tcg',
      kvmFd: undefined,
      disks: [{ name: 'root', path: disk, slot: 10, readOnly: false }],
      nics: [],
      seedPath: join(directory, 'seed.iso'),
      qmpFd: 3,
      serialFd: 4,
      agentFd: 5,
      cdroms: [{ name: 'tools', bootIndex: 2 }],
    } as never)
    let output = ''
    const child = await childProcesses.spawn(qemu, args, {
      channels: 3,
      maxFileBytes: 2 ** 40,
      fds: [],
      onOutput: (bytes) => (output += Buffer.from(bytes).toString()),
    })
    const [channel] = child.channels
    if (channel === undefined) throw new Error(output)
    const qmp = new Qmp(channel, systemClock, () => undefined)
    try {
      await qmp.start()
      const types = await typesBelow(qmp, '/machine')
      expect(types).toContain('ICH9-LPC')
      expect(
        types.filter((type) =>
          /fdc|floppy|vga|qxl|cirrus|bochs|usb|[xueo]hci|hda|ac97|e1000|rtl8139|parallel|vmport|vmmouse|vmware/i.test(type),
        ),
      ).toEqual([])
      expect(await qmp.execute('human-monitor-command', { 'command-line': 'info qtree' })).not.toMatch(/fdc|vga|usb/i)
      const chardevs = (await qmp.execute('query-chardev')) as readonly { label: string }[]
      expect(chardevs.map(({ label }) => label).filter((label) => /monitor|vc|parallel|gdb/.test(label))).toEqual([])
      const status = (await qmp.execute('query-block')) as readonly { inserted?: { file: string } }[]
      expect(status.flatMap(({ inserted }) => inserted?.file ?? []).every((file) => file.includes(directory))).toBe(true)
      await qmp.execute('blockdev-add', discNode('disc', hostileDisc()))
      await qmp.execute('blockdev-open-tray', { id: cdromId(0), force: true })
      await qmp.execute('blockdev-insert-medium', { id: cdromId(0), 'node-name': 'disc' })
      const nodes = (await qmp.execute('query-named-block-nodes')) as readonly { file: string; drv: string; backing_file_depth: number }[]
      const disc = nodes.filter(({ file }) => file.endsWith('hostile.iso'))
      expect(disc.map(({ drv }) => drv).toSorted(byText)).toEqual(['file', 'raw'])
      expect(disc.every((one) => one.backing_file_depth === 0)).toBe(true)
      expect(JSON.stringify(nodes)).not.toContain('shadow')
    } finally {
      await qmp.execute('quit').catch(() => undefined)
      await child.ended
    }
  })
})

/** It begins as a qcow2 image that names a file of the host. */
function hostileDisc(): string {
  const disc = join(directory, 'hostile.iso')
  execFileSync('qemu-img', ['create', '-q', '-u', '-f', 'qcow2', '-b', '/etc/shadow', '-F', 'raw', disc, '16M'])
  return disc
}

async function typesBelow(qmp: Qmp, path: string): Promise<readonly string[]> {
  const children = (await qmp.execute('qom-list', { path })) as readonly { name: string; type: string }[]
  const found: string[] = []
  for (const { name, type } of children) {
    const inner = /^child<(.*)>$/.exec(type)?.[1]
    if (inner !== undefined) found.push(inner, ...(await typesBelow(qmp, `${path}/${name}`)))
  }
  return found
}

describe('a hostile string', () => {
  it('is one value of an option with JSON: QEMU opens the file of exactly this name', async () => {
    const answering = new Answering(['-machine', 'none'])
    try {
      let count = 0
      await fc.assert(
        fc.asyncProperty(hostileString, async (text) => {
          // A name of a file has no slash and no NUL, has at most 255 bytes, and is UTF-8.
          const name = Buffer.from(text.replaceAll(/[/\0]/g, '_').toWellFormed()).subarray(0, 200).toString().replaceAll('\ufffd', '')
          const file = join(directory, 'names', `n${name}`)
          count += 1
          writeFileSync(file, '')
          truncateSync(file, 512 * count)
          const added = await answering.ask('blockdev-add', { driver: 'file', 'node-name': `n${count}`, filename: file })
          expect([file, added]).toEqual([file, { return: {} }])
          const nodes = (await answering.ask('query-named-block-nodes', { flat: true })).return as readonly {
            'node-name': string
            image: { filename: string; 'virtual-size': number }
          }[]
          const node = nodes.find((one) => one['node-name'] === `n${count}`)
          expect([node?.image['virtual-size'], nodes.length]).toEqual([512 * count, 1])
          await answering.ask('blockdev-del', { 'node-name': `n${count}` })
          rmSync(file)
        }),
        { numRuns: isWhole ? 5_000 : 300, seed: 1 },
      )
    } finally {
      answering.child.kill()
    }
  })

  it.each(['plain', 'a,,b', 'a=b', 'x,,process=y', ',,', 'a b', '"q"', "it's", '-dash', '%s%n', 'json:{}', 'ä', '{', 'a,,,,b'])(
    'in an option of pairs is read as the reader of the tests reads it: %j',
    async (text) => {
      const option = `guest=${text}`
      const answering = new Answering(['-machine', 'none', '-name', option])
      try {
        const name = (await answering.ask('query-name')).return as { name?: string }
        expect(name.name).toBe(placesOf(option).get('/0/guest'))
      } finally {
        answering.child.kill()
      }
    },
  )
})
