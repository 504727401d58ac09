import type { Server, Socket } from 'node:net'

/** `closeAllConnections` of Node's HTTP servers leaves out callers that have not said anything yet, or are shaking hands; `close` waits for them. */
export function rawConnections(server: Server): { cut(): void } {
  const open = new Set<Socket>()
  server.on('connection', (socket: Socket) => {
    open.add(socket)
    socket.once('close', () => open.delete(socket))
  })
  return {
    cut: () => {
      for (const socket of open) socket.destroy()
    },
  }
}
