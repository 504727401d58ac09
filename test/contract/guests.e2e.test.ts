import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { afterAll, beforeAll, describe, expect, it } from 'vitest'
import { buildGuest, type GuestName } from '../lab/guests/build-guest.ts'
import { command } from '../lab/guests/command.ts'

const MAC = '52:54:00:5a:00:01'

let directory: string
const running = new Set<ChildProcess>()

beforeAll(async () => {
  directory = await mkdtemp(join(tmpdir(), 'guests-'))
})

afterAll(async () => {
  for (const qemu of running) qemu.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
})

describe('the tiny guest', () => {
  it('takes its name from the seed, keeps its disk, and tells an orderly shutdown from a power cut', async () => {
    const disk = await overlayOf('tiny', '1G')
    const seed = await makeSeed('tiny', { 'meta-data': 'instance-id: i-1\nlocal-hostname: web-1\n', 'user-data': '#cloud-config\n' })

    const first = await start({ disk, seed: ['-drive', `file=${seed},format=raw,if=virtio,readonly=on`], guestPort: 80, memoryMiB: 128 })
    expect((await page(first, '/', 60_000)).trim()).toBe('web-1')
    expect((await page(first, '/instance-id')).trim()).toBe('i-1')
    expect((await page(first, '/mac')).trim()).toBe(MAC)
    expect((await page(first, '/boot-count')).trim()).toBe('1')
    expect(await page(first, '/disks')).toContain(`vda ${1024 ** 3}`)
    await fetch(`http://127.0.0.1:${first.port}/cgi-bin/note`, { method: 'POST', body: 'kept' })
    await pressPowerButton(first, 30_000)
    const lines = await serial(first)
    expect(lines).toMatch(/swarmvirt-guest: up hostname=web-1 ip=\S+ boot=1/)
    expect(lines).toMatch(/swarmvirt-guest: orderly shutdown begins\s+swarmvirt-guest: orderly shutdown complete/)
    expect(lines).not.toContain('power cut')

    // The second time the seed is a CD-ROM on SATA, and QEMU is killed.
    const second = await start({ disk, seed: ['-cdrom', seed], guestPort: 80, memoryMiB: 128 })
    expect((await page(second, '/', 60_000)).trim()).toBe('web-1')
    expect((await page(second, '/boot-count')).trim()).toBe('2')
    expect(await page(second, '/cgi-bin/note')).toBe('kept')
    second.qemu.kill('SIGKILL')
    await second.ended
    expect(await serial(second)).not.toContain('power cut')

    const third = await start({ disk, seed: ['-cdrom', seed], guestPort: 80, memoryMiB: 128 })
    expect((await page(third, '/boot-count', 60_000)).trim()).toBe('3')
    expect(await serial(third)).toContain('swarmvirt-guest: previous shutdown was a power cut')
    await pressPowerButton(third, 30_000)
  })
})

describe('the Debian guest', () => {
  it('gets its name and key from cloud-init, grows its file system and powers off when asked', async () => {
    const disk = await overlayOf('debian', '4G')
    const key = join(directory, 'key')
    await command('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-f', key])
    const userData = `#cloud-config\nssh_authorized_keys: ["${(await readFile(`${key}.pub`, 'utf8')).trim()}"]\n`
    const seed = await makeSeed('debian', { 'meta-data': 'instance-id: i-2\nlocal-hostname: deb-1\n', 'user-data': userData })

    const guest = await start({ disk, seed: ['-drive', `file=${seed},format=raw,if=virtio,readonly=on`], guestPort: 22, memoryMiB: 512 })
    expect((await ssh(guest, key, ['hostname'], 400_000)).trim()).toBe('deb-1')
    expect((await ssh(guest, key, ['cloud-init', 'status', '--wait'], 180_000)).trim()).toContain('status: done')
    expect(Number(await ssh(guest, key, ['stat', '-f', '-c', '%b', '/'], 30_000))).toBeGreaterThan((3.5 * 1024 ** 3) / 4096)
    await pressPowerButton(guest, 90_000)
    expect(await serial(guest)).toContain('Power down')
  }, 900_000)
})

type Guest = { qemu: ChildProcess; port: number; console: string; qmp: string; ended: Promise<unknown> }

async function overlayOf(name: GuestName, size: string): Promise<string> {
  const overlay = join(directory, `${name}.qcow2`)
  const { path } = await buildGuest(name)
  await command('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', path, overlay, size])
  return overlay
}

async function makeSeed(name: string, files: Record<string, string>): Promise<string> {
  const from = join(directory, `${name}-seed`)
  await mkdir(from)
  for (const [file, content] of Object.entries(files)) await writeFile(join(from, file), content)
  await command('genisoimage', ['-quiet', '-V', 'cidata', '-J', '-r', '-o', `${from}.iso`, from])
  return `${from}.iso`
}

let starts = 0

async function start(options: { disk: string; seed: readonly string[]; guestPort: number; memoryMiB: number }): Promise<Guest> {
  const port = await freePort()
  const console = join(directory, `serial-${++starts}`)
  const qmp = join(directory, `qmp-${starts}`)
  const machine = `-machine q35 -accel tcg -cpu max -m ${options.memoryMiB} -display none -nodefaults`.split(' ')
  const nic = ['-netdev', `user,id=lan,hostfwd=tcp:127.0.0.1:${port}-:${options.guestPort}`]
  const card = ['-device', `virtio-net-pci,netdev=lan,mac=${MAC},romfile=`]
  const ports = ['-serial', `file:${console}`, '-qmp', `unix:${qmp},server=on,wait=off`]
  const disk = ['-drive', `file=${options.disk},format=qcow2,if=virtio`]
  const qemu = spawn('qemu-system-x86_64', [...machine, ...nic, ...card, ...ports, ...disk, ...options.seed], { stdio: 'inherit' })
  running.add(qemu)
  const ended = once(qemu, 'exit').then(() => running.delete(qemu))
  return { qemu, port, console, qmp, ended }
}

async function freePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1')
  await once(server, 'listening')
  const address = server.address()
  server.close()
  if (address === null || typeof address === 'string') throw new Error('no port')
  return address.port
}

async function page(guest: Guest, path: string, patienceMs = 5_000): Promise<string> {
  return until(patienceMs, guest, async () => {
    const answer = await fetch(`http://127.0.0.1:${guest.port}${path}`, { signal: AbortSignal.timeout(2_000) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
    return answer.text()
  })
}

async function ssh(guest: Guest, key: string, words: readonly string[], patienceMs: number): Promise<string> {
  const quiet = ['BatchMode=yes', 'ConnectTimeout=5', 'StrictHostKeyChecking=no', 'UserKnownHostsFile=/dev/null', 'LogLevel=ERROR']
  const options = quiet.flatMap((option) => ['-o', option])
  const target = ['-i', key, '-p', String(guest.port), 'debian@127.0.0.1']
  return until(patienceMs, guest, async () => (await command('ssh', [...options, ...target, ...words])).toString())
}

/** Asks again until there is an answer; the last error and the console are what a failure shows. */
async function until<T>(patienceMs: number, guest: Guest, ask: () => Promise<T>): Promise<T> {
  const end = performance.now() + patienceMs
  for (;;) {
    try {
      return await ask()
    } catch (error) {
      if (performance.now() > end) throw new Error(`no answer within ${patienceMs} ms; console:\n${await serial(guest)}`, { cause: error })
      await sleep(200)
    }
  }
}

async function pressPowerButton(guest: Guest, patienceMs: number): Promise<void> {
  const socket = createConnection(guest.qmp)
  await once(socket, 'connect')
  socket.write('{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n')
  // QEMU closes the socket when it ends; what it answers is not looked at.
  socket.resume().on('error', () => undefined)
  const ended = await Promise.race([guest.ended.then(() => true), sleep(patienceMs, false)])
  socket.destroy()
  if (!ended) throw new Error(`not off ${patienceMs} ms after the power button; console:\n${await serial(guest)}`)
}

async function serial(guest: Guest): Promise<string> {
  return readFile(guest.console, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
}
