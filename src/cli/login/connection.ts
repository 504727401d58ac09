import type { ControllerApi } from '../../ports/controller-api.ts'
import { PortError } from '../../ports/errors.ts'
import { messageOf } from '../../api/error-message.ts'
import type { Discovered } from './discovery.ts'
import { type Login, tryLogin } from './login.ts'

export interface ConnectionPorts {
  /** The login for Docker's endpoint. Undefined if there is none. */
  readonly storedLogin: () => Promise<Login | undefined>
  /** `timeoutMs` limits each call. The default is the client's own limit. */
  readonly open: (login: Login, timeoutMs?: number) => ControllerApi
  readonly discover: () => Promise<Discovered>
  /** Stores the controller's new address. */
  readonly moved: (server: string) => Promise<void>
}

const probeMs = 3_000

/** The API of the stored login, at the controller's current address. Throws without a login, and the client's errors. */
export async function connected(ports: ConnectionPorts): Promise<ControllerApi> {
  const login = await ports.storedLogin()
  if (login === undefined) throw new Error('not logged in to the controller of this Docker context; log in: docker vm login --token-stdin')
  try {
    await ports.open(login, probeMs).version()
    return ports.open(login)
  } catch (error) {
    // A wrong token or certificate is an answer. Only an unreachable controller is searched elsewhere.
    if (!(error instanceof PortError) || error.kind !== 'Unavailable') throw error
    const server = await foundAgain(ports, login, error)
    await ports.moved(server)
    return ports.open({ ...login, server })
  }
}

/** The pinned certificate does not change: a server with another one gets no token, whatever the Swarm reports. */
async function foundAgain(ports: ConnectionPorts, login: Login, silence: PortError): Promise<string> {
  const found = await ports.discover().catch((error: unknown) => {
    throw new PortError('Unavailable', `${silence.message}; cannot find where the controller runs now: ${messageOf(error)}`, {
      cause: error,
    })
  })
  const others = found.servers.filter((server) => server !== login.server)
  if (others.length === 0) throw silence
  return (await firstThatAnswers(ports.open, login, others)).server
}

/** Tries the addresses in order. Throws with the error of each if none answers. */
export async function firstThatAnswers(
  open: ConnectionPorts['open'],
  login: Omit<Login, 'server'>,
  servers: readonly string[],
): Promise<{ readonly server: string; readonly release: string }> {
  const said: string[] = []
  let kind: PortError['kind'] = 'Unavailable'
  for (const server of servers) {
    try {
      return { server, release: await tryLogin(open({ ...login, server }, probeMs)) }
    } catch (error) {
      if (!(error instanceof PortError)) throw error
      if (error.kind === 'Denied') kind = 'Denied'
      said.push(error.message)
    }
  }
  throw new PortError(kind, said.join('; '))
}
