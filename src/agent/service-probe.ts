import { printable } from '../api/printable.ts'
import type { ProbeOutcome, LanProbe } from '../api/wire/agent-api.ts'
import type { TcpTalk } from '../ports/tcp-connect.ts'

type Judgement = Pick<ProbeOutcome, 'outcome' | 'reason' | 'message'>

/** A protocol that a probe speaks with a service in a guest. The guest is untrusted: it gets one request, and few bytes of its answer are read. */
interface ServiceProbe {
  readonly talk: TcpTalk
  readonly judge: (received: string, target: string) => Judgement
}

/** Pure. Undefined for a probe that only connects. */
export function serviceProbe(request: LanProbe): ServiceProbe | undefined {
  switch (request.kind) {
    case 'http':
      return { talk: { send: httpRequest(request), maxBytes: 1_024, isEnough: (received) => received.includes('\n') }, judge: judgeHttp }
    case 'ssh':
      // RFC 4253, 4.2: a server may send other lines before its banner.
      return { talk: { send: '', maxBytes: 4_096, isEnough: (received) => banner(received) !== undefined }, judge: judgeSsh }
    default:
      return undefined
  }
}

/** The path was checked by the wire schema: it has no space and no line break. */
function httpRequest({ ip, port, path = '/' }: LanProbe): string {
  const host = port === 80 ? ip : `${ip}:${port}`
  return `GET ${path} HTTP/1.1\r\nHost: ${host}\r\nUser-Agent: swarmvirt-probe\r\nAccept: */*\r\nConnection: close\r\n\r\n`
}

/** As for Kubernetes, 200 to 399 is success. No redirect is followed, so a guest cannot send the agent to another host. */
function judgeHttp(received: string, target: string): Judgement {
  if (received === '') return silent(target)
  const status = Number(/^HTTP\/1\.[01] (?<status>\d{3})(?: |\r?\n)/.exec(received)?.groups?.['status'])
  if (Number.isNaN(status)) return unreached('NotHttp', `${target} does not speak HTTP/1.1`)
  const message = `${target} answered HTTP status ${status}`
  return status >= 200 && status < 400 ? { outcome: 'reached', reason: 'HttpAnswered', message } : unreached('HttpStatus', message)
}

function judgeSsh(received: string, target: string): Judgement {
  if (received === '') return silent(target)
  const line = banner(received)
  if (line === undefined) return unreached('NotSsh', `${target} does not send an SSH banner`)
  return { outcome: 'reached', reason: 'SshBanner', message: `${target} sent ${printable(line).slice(0, 255)}` }
}

function banner(received: string): string | undefined {
  return /^(?<line>SSH-(?:2\.0|1\.99)-[^\r\n]*)\r?\n/m.exec(received)?.groups?.['line']
}

function silent(target: string): Judgement {
  return unreached('NoAnswer', `${target} accepted the connection and sent nothing`)
}

function unreached(reason: string, message: string): Judgement {
  return { outcome: 'unreached', reason, message }
}
