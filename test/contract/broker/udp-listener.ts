/** Says each datagram that comes to one of these ports, over IPv4 and IPv6: `udp-listener.ts PORT...`. */
import { createSocket } from 'node:dgram'

const ports = process.argv.slice(2).map(Number)
let bound = 0
for (const port of ports) {
  const socket = createSocket('udp6')
  socket.on('message', (payload) => process.stdout.write(`${JSON.stringify({ type: 'datagram', port, payload: payload.toString() })}\n`))
  socket.bind(port, '::', () => {
    bound += 1
    if (bound === ports.length) process.stdout.write('{"type":"listening"}\n')
  })
}
