import { connect, type Socket } from 'node:net'
import type { TcpConnect, TcpOutcome, TcpTalk } from '../../ports/tcp-connect.ts'

/** Errors that occur locally, without the remote host. */
const localErrors = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EPERM', 'EACCES', 'EMFILE', 'ENOBUFS'])

export const tcpConnect: TcpConnect = ({ ip, port, timeoutMs, talk }, signal) =>
  new Promise<TcpOutcome>((resolve, reject) => {
    const started = performance.now()
    const socket = connect({ host: ip, port, family: 4 })
    let rttMs: number | undefined
    let received = ''
    const settle = (outcome: TcpOutcome): void => {
      clearTimeout(timer)
      socket.destroy()
      resolve(outcome)
    }
    const settleConnected = (): void => settle(rttMs === undefined ? { kind: 'silent' } : { kind: 'connected', rttMs, received })
    // Not the idle timeout of the socket, which a guest that sends single bytes would extend.
    const timer = setTimeout(settleConnected, timeoutMs)
    socket.once('connect', () => {
      rttMs = Math.round((performance.now() - started) * 100) / 100
      if (talk === undefined) settleConnected()
      else exchange(socket, talk, (text) => void (received = text), settleConnected)
    })
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (rttMs !== undefined) return settleConnected()
      if (error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET') return settle({ kind: 'refused' })
      if (localErrors.has(error.code ?? '')) return settle({ kind: 'noRoute', message: error.message })
      settle({ kind: 'silent' })
    })
    signal?.addEventListener(
      'abort',
      () => {
        clearTimeout(timer)
        socket.destroy()
        reject(signal.reason as Error)
      },
      { once: true },
    )
  })

function exchange(socket: Socket, talk: TcpTalk, keep: (received: string) => void, settle: () => void): void {
  let received = ''
  socket.on('data', (bytes) => {
    received = `${received}${bytes.toString('latin1')}`.slice(0, talk.maxBytes)
    keep(received)
    if (received.length >= talk.maxBytes || talk.isEnough(received)) settle()
  })
  socket.once('end', settle)
  socket.write(talk.send)
}
