/** A guest under QEMU alone: no Swarm, no broker, no runner. */
import { type ChildProcess, spawn } from 'node:child_process'
import { once } from 'node:events'
import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises'
import { createConnection, createServer } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'
import { buildGuest, type GuestName } from '../../lab/guests/build-guest.ts'
import { command } from '../../lab/guests/command.ts'

export const MAC = '52:54:00:5a:00:01'

const running = new Set<ChildProcess>()

/** Creates a directory that the tests of one file share. */
export function makeDirectory(): Promise<string> {
  return mkdtemp(join(tmpdir(), 'guests-'))
}

/** Ends every guest that still runs. */
export async function clean(directory: string): Promise<void> {
  for (const qemu of running) qemu.kill('SIGKILL')
  await rm(directory, { recursive: true, force: true })
}

export type Guest = { qemu: ChildProcess; port: number; console: string; qmp: string; ended: Promise<unknown> }

export async function overlayOf(directory: string, name: GuestName, size: string): Promise<string> {
  const overlay = join(directory, `${name}.qcow2`)
  const { path } = await buildGuest(name)
  await command('qemu-img', ['create', '-q', '-f', 'qcow2', '-F', 'qcow2', '-b', path, overlay, size])
  return overlay
}

export async function makeSeed(directory: string, name: string, files: Record<string, string>): Promise<string> {
  const from = join(directory, `${name}-seed`)
  await mkdir(from)
  for (const [file, content] of Object.entries(files)) await writeFile(join(from, file), content)
  await command('genisoimage', ['-quiet', '-V', 'cidata', '-J', '-r', '-o', `${from}.iso`, from])
  return `${from}.iso`
}

let starts = 0

export async function start(options: {
  directory: string
  disk: string
  seed: readonly string[]
  guestPort: number
  memoryMiB: number
}): Promise<Guest> {
  const port = await freePort()
  const console = join(options.directory, `serial-${++starts}`)
  const qmp = join(options.directory, `qmp-${starts}`)
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

export async function page(guest: Guest, path: string, patienceMs = 5_000): Promise<string> {
  return until(patienceMs, guest, async () => {
    const answer = await fetch(`http://127.0.0.1:${guest.port}${path}`, { signal: AbortSignal.timeout(2_000) })
    if (!answer.ok) throw new Error(`${path}: ${answer.status}`)
    return answer.text()
  })
}

export async function ssh(guest: Guest, key: string, words: readonly string[], patienceMs: number): Promise<string> {
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

export async function pressPowerButton(guest: Guest, patienceMs: number): Promise<void> {
  const socket = createConnection(guest.qmp)
  await once(socket, 'connect')
  socket.write('{"execute":"qmp_capabilities"}\n{"execute":"system_powerdown"}\n')
  // QEMU closes the socket when it ends. Its answers are not checked.
  socket.resume().on('error', () => undefined)
  const ended = await Promise.race([guest.ended.then(() => true), sleep(patienceMs, false)])
  socket.destroy()
  if (!ended) throw new Error(`not off ${patienceMs} ms after the power button; console:\n${await serial(guest)}`)
}

export async function serial(guest: Guest): Promise<string> {
  return readFile(guest.console, 'utf8').catch((error: NodeJS.ErrnoException) => {
    if (error.code === 'ENOENT') return ''
    throw error
  })
}
