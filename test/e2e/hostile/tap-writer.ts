/**
 * Sends frames through the TAP of a VM that runs, as its guest would: `tap-writer.ts PID`, with the pid of the VM's runner. Commands come on stdin,
 * one a line: `frame HEX`, or `flood COUNT MAC` for so many frames to this MAC, each from a source of its own. Says `done` after each.
 */
import { readdirSync, readlinkSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import koffi from 'koffi'

/** The same numbers on every architecture (asm-generic/unistd.h). */
const pidfdOpen = 434
const pidfdGetfd = 438
const libc = koffi.load('libc.so.6')
const ioctl = libc.func('int ioctl(int, unsigned long, void *)') as (fd: number, request: number, value: Buffer) => number
const tunGetVnetHeaderSize = 0x8004_54d7
const syscall = libc.func('int64_t syscall(int64_t, int64_t, int64_t, int64_t)') as (...args: number[]) => number

function tapOf(pid: number): number {
  const entry = readdirSync(`/proc/${pid}/fd`).find((fd) => readlinkSync(`/proc/${pid}/fd/${fd}`) === '/dev/net/tun')
  if (entry === undefined) throw new Error(`process ${pid} has no TAP`)
  const tap = syscall(pidfdGetfd, syscall(pidfdOpen, pid, 0, 0), Number(entry), 0)
  if (tap < 0) throw new Error(`the TAP of process ${pid} cannot be taken: errno ${koffi.errno()}`)
  return tap
}

/** struct virtio_net_hdr, as long as QEMU made it; in zeroes it leaves nothing for the kernel to compute. */
function headerOf(fd: number): Buffer {
  const size = Buffer.alloc(4)
  if (ioctl(fd, tunGetVnetHeaderSize, size) !== 0) throw new Error(`no TAP: errno ${koffi.errno()}`)
  return Buffer.alloc(size.readInt32LE())
}

const tap = tapOf(Number(process.argv[2]))
const vnetHeader = headerOf(tap)
const send = (frame: Buffer): void => void writeSync(tap, Buffer.concat([vnetHeader, frame]))

function flood(count: number, to: string): void {
  const frame = Buffer.concat([Buffer.from(`${to.replaceAll(':', '')}52549900000088b5`, 'hex'), Buffer.alloc(46)])
  for (let index = 0; index < count; index++) {
    frame.writeUInt16BE(index, 10)
    send(frame)
  }
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command, first = '', second = ''] = line.split(' ')
    if (command === 'frame') send(Buffer.from(first, 'hex'))
    if (command === 'flood') flood(Number(first), second)
    process.stdout.write('done\n')
  })
  .on('close', () => process.exit(0))
