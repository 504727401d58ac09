/**
 * A runner's half of the lease and nothing else: `fake-runner.ts SOCKET UID`. Commands come on stdin, one a line; what it hears goes to stdout as JSON lines.
 * Its TAPs stay open until it ends, as QEMU's would.
 */
import { closeSync, openSync, writeSync } from 'node:fs'
import { createInterface } from 'node:readline'
import { fdSockets } from '../../../src/adapters/linux/fd-sockets.ts'
import { encodeFrame, frameDecoder } from '../../../src/api/wire/frames.ts'
import type { FdConnection } from '../../../src/ports/fd-socket.ts'

const [socketPath = '', uid = ''] = process.argv.slice(2)
const sockets = fdSockets()
/** `fd` carries frames, `proof` stands for the holder. */
const taps: { name: string; fd: number; proof: number }[] = []
let connection: FdConnection | undefined

const say = (what: object): void => void process.stdout.write(`${JSON.stringify(what)}\n`)

async function connect(): Promise<void> {
  const made = await sockets.connect(socketPath)
  connection = made
  const decoder = frameDecoder()
  made.onData((bytes, fds) => {
    for (const frame of decoder.push(bytes)) {
      const message = frame as { type: string; kvm?: boolean; reclaimed?: boolean; nics?: { tap: string; token?: true }[] }
      if (message.type === 'granted' && message.reclaimed === false) {
        const own = message.kvm ? fds.slice(1) : [...fds]
        for (const { tap, token } of message.nics ?? []) {
          const fd = own.shift() ?? -1
          taps.push({ name: tap, fd, proof: token === true ? (own.shift() ?? -1) : fd })
        }
      }
      say({ ...message, fds: fds.length })
    }
  })
  made.onClose(() => say({ type: 'closed' }))
  made.send(encodeFrame({ type: 'hello', protocol: 'swarmvirt.broker-runner', version: 1, uid }))
}

const commands: Record<string, (argument: string) => void> = {
  connect: () => void connect().catch((error: Error) => say({ type: 'failed', message: error.message })),
  acquire: () => connection?.send(encodeFrame({ type: 'acquire', tokens: true })),
  /** As release 0.1 does it. */
  acquireAsBefore: () => connection?.send(encodeFrame({ type: 'acquire' })),
  reclaim: () =>
    connection?.send(
      encodeFrame({ type: 'reclaim', taps: taps.map((tap) => tap.name) }),
      taps.map((tap) => tap.proof),
    ),
  /** A name without its TAP behind it. */
  forge(name) {
    const fd = openSync('/dev/null', 'r')
    connection?.send(encodeFrame({ type: 'reclaim', taps: [name] }), [fd])
    void connection?.flushed().then(() => closeSync(fd))
  },
  raw: (text) => connection?.send(Buffer.from(`${text}\n`)),
  /** Hex of an Ethernet frame, sent by the guest: after a virtio_net_hdr of ten bytes. */
  frame: (hex) => void writeSync(taps[0]?.fd ?? -1, Buffer.concat([Buffer.alloc(10), Buffer.from(hex, 'hex')])),
  /** `COUNT MAC`: so many frames to this MAC, each from a source of its own. */
  flood(argument) {
    const [count, to = ''] = argument.split(' ')
    const frame = Buffer.concat([Buffer.alloc(10), Buffer.from(`${to.replaceAll(':', '')}52540a00000088b5`, 'hex'), Buffer.alloc(46)])
    for (let index = 0; index < Number(count); index++) {
      frame.writeUInt32BE(0x5400_0000 + index, 10 + 6 + 2)
      writeSync(taps[0]?.fd ?? -1, frame)
    }
    say({ type: 'flooded' })
  },
}

createInterface({ input: process.stdin })
  .on('line', (line) => {
    const [command = '', argument = ''] = line.split(/ (.*)/s)
    commands[command]?.(argument)
  })
  .on('close', () => process.exit(0))
