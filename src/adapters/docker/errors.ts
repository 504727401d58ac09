import { PortError, type PortErrorKind } from '../../ports/errors.ts'

/** What an answer that is no success means. `message` is the daemon's own. */
export function kindOfStatus(status: number, message: string): PortErrorKind {
  // Docker has no node of its own for "not a manager" (406 before API 1.24's error types, 503 since).
  if (status === 401 || status === 403) return 'Denied'
  if (status === 404) return 'NotFound'
  if (status === 409) return 'Conflict'
  if (status === 406 || status === 408 || status === 429 || status === 502 || status === 503 || status === 504) return 'Unavailable'
  if (status >= 400 && status < 500) return isStale(message) ? 'Conflict' : 'Invalid'
  return kindOfText(message)
}

/** Raft refused an update whose version is not the newest: HTTP 500 from every Engine so far. */
function isStale(message: string): boolean {
  return message.includes('update out of sequence')
}

const rpcCodes: Readonly<Record<string, PortErrorKind>> = {
  InvalidArgument: 'Invalid',
  FailedPrecondition: 'Invalid',
  OutOfRange: 'Invalid',
  Unimplemented: 'Invalid',
  NotFound: 'NotFound',
  AlreadyExists: 'Conflict',
  Aborted: 'Conflict',
  PermissionDenied: 'Denied',
  Unauthenticated: 'Denied',
}

/** Managers wrap gRPC's word into a 500; what no rule knows says nothing about whether a write was made. */
function kindOfText(message: string): PortErrorKind {
  if (isStale(message)) return 'Conflict'
  const code = /rpc error: code = (\w+)/.exec(message)?.[1]
  const known = code === undefined ? undefined : rpcCodes[code]
  if (known !== undefined) return known
  if (/\bis in use by\b|\bin use\b/.test(message)) return 'Invalid'
  // A spec that names a network which does not exist: seen as a bare 500 on Engine 20.10.
  if (/^(network|service|node|secret|config|task) \S+ not found$/.test(message.trim())) return 'NotFound'
  if (/name conflicts with an existing object/.test(message)) return 'Conflict'
  // A constraint that managers cannot read: their parser's word reaches us as code Unknown (seen on Engine 20.10).
  if (/desc = (key|value) '.*' is invalid$|desc = constraint expected one operator from/.test(message)) return 'Invalid'
  return 'Unavailable'
}

/** Makes what a call threw a PortError; `what` says which call, for people. */
export function portErrorOf(error: unknown, what: string): PortError {
  if (error instanceof PortError) return error
  const { statusCode, json, message, code } = error as { statusCode?: number; json?: unknown; message?: string; code?: string }
  if (typeof statusCode !== 'number') {
    return new PortError('Unavailable', `${what}: Docker does not answer (${code ?? message ?? 'no reason given'})`, { cause: error })
  }
  const said = (json as { message?: unknown } | null)?.message
  const text = typeof said === 'string' ? said : withoutWrapping(message ?? '')
  return new PortError(kindOfStatus(statusCode, text), `${what}: ${text.trim()}`, { cause: error })
}

/** Of an answer that was asked for as a stream dockerode gives the daemon's words in its own message alone. */
function withoutWrapping(message: string): string {
  return message.replace(/^\(HTTP code \d{3}\) .*? - /, '')
}
