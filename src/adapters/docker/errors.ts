import { PortError, type PortErrorKind } from '../../ports/errors.ts'

/** Classifies an HTTP error status. `message` is the daemon's own. */
export function kindOfStatus(status: number, message: string): PortErrorKind {
  // Docker has no error code of its own for "not a manager" (406 before API 1.24's error types, 503 since).
  if (status === 401 || status === 403) return 'Denied'
  if (status === 404) return 'NotFound'
  if (status === 409) return 'Conflict'
  if (status === 406 || status === 408 || status === 429 || status === 502 || status === 503 || status === 504) return 'Unavailable'
  if (status >= 400 && status < 500) return isStale(message) ? 'Conflict' : 'Invalid'
  return kindOfText(message)
}

/** Raft rejected an update with an outdated version. Every Engine so far returns HTTP 500 for this. */
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

/** Managers wrap gRPC errors into a 500. For an unknown one, the write may or may not have happened. */
function kindOfText(message: string): PortErrorKind {
  if (isStale(message)) return 'Conflict'
  const code = /rpc error: code = (\w+)/.exec(message)?.[1]
  const known = code === undefined ? undefined : rpcCodes[code]
  if (known !== undefined) return known
  if (/\bis in use by\b|\bin use\b/.test(message)) return 'Invalid'
  // The spec names a network that does not exist: a bare 500 on Engine 20.10.
  if (/^(network|service|node|secret|config|task) \S+ not found$/.test(message.trim())) return 'NotFound'
  if (/name conflicts with an existing object/.test(message)) return 'Conflict'
  // Managers cannot parse a constraint: their parser's message has code Unknown (Engine 20.10).
  if (/desc = (key|value) '.*' is invalid$|desc = constraint expected one operator from/.test(message)) return 'Invalid'
  return 'Unavailable'
}

/** Converts an error of a call into a PortError. `what` names the call, for people. */
export function portErrorOf(error: unknown, what: string): PortError {
  if (error instanceof PortError) return error
  const { statusCode, json, message, code } = error as { statusCode?: number; json?: unknown; message?: string; code?: string }
  if (typeof statusCode !== 'number') {
    return new PortError('Unavailable', `${what}: Docker did not answer (${code ?? message ?? 'no reason given'})`, { cause: error })
  }
  const said = (json as { message?: unknown } | null)?.message
  const text = typeof said === 'string' ? said : withoutWrapping(message ?? '')
  return new PortError(kindOfStatus(statusCode, text), `${what}: ${text.trim()}`, { cause: error })
}

/** For a streamed response, dockerode wraps the daemon's message into its own. */
function withoutWrapping(message: string): string {
  return message.replace(/^\(HTTP code \d{3}\) .*? - /, '')
}
