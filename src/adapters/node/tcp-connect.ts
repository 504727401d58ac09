import { connect } from 'node:net'
import type { TcpConnect, TcpOutcome } from '../../ports/tcp-connect.ts'

/** Errors that occur locally, without the remote host. */
const localErrors = new Set(['ENETUNREACH', 'EADDRNOTAVAIL', 'EPERM', 'EACCES', 'EMFILE', 'ENOBUFS'])

export const tcpConnect: TcpConnect = (ip, port, timeoutMs, signal) =>
  new Promise<TcpOutcome>((resolve, reject) => {
    const started = performance.now()
    const socket = connect({ host: ip, port, family: 4 })
    const settle = (outcome: TcpOutcome): void => {
      socket.destroy()
      resolve(outcome)
    }
    socket.setTimeout(timeoutMs, () => settle({ kind: 'silent' }))
    socket.once('connect', () => settle({ kind: 'connected', rttMs: Math.round((performance.now() - started) * 100) / 100 }))
    socket.once('error', (error: NodeJS.ErrnoException) => {
      if (error.code === 'ECONNREFUSED' || error.code === 'ECONNRESET') return settle({ kind: 'refused' })
      if (localErrors.has(error.code ?? '')) return settle({ kind: 'noRoute', message: error.message })
      settle({ kind: 'silent' })
    })
    signal?.addEventListener(
      'abort',
      () => {
        socket.destroy()
        reject(signal.reason as Error)
      },
      { once: true },
    )
  })
