import { type IncomingMessage, get as httpGet } from 'node:http'
import { get as httpsGet } from 'node:https'
import { ArrivalError } from '../../ports/image-arrivals.ts'
import type { ImageAddresses } from './image-addresses.ts'
import { networkFailure } from './network-failure.ts'

const maxRedirects = 5

export interface DownloadOptions {
  readonly addresses: ImageAddresses
  /** The cluster's own addresses. */
  readonly refused: readonly string[]
  readonly silenceMs: number
  readonly signal: AbortSignal
}

/** The response with the image's bytes, after redirects. Throws ArrivalError. */
export async function openDownload(url: string, options: DownloadOptions, redirectsLeft = maxRedirects): Promise<IncomingMessage> {
  const target = URL.parse(url)
  if (target === null || (target.protocol !== 'http:' && target.protocol !== 'https:')) {
    throw new ArrivalError('Refused', `only http:// and https:// are followed, not ${url.slice(0, 200)}`)
  }
  const response = await getOnce(target, options)
  const status = response.statusCode ?? 0
  if (status === 200) return response
  response.destroy()
  const { location } = response.headers
  if (status < 300 || status >= 400 || location === undefined) throw statusFailure(target, status)
  if (redirectsLeft === 0) throw new ArrivalError('Refused', `it was redirected more than ${maxRedirects} times`)
  const next = URL.parse(location, target.href)
  if (target.protocol === 'https:' && next?.protocol === 'http:')
    throw new ArrivalError('Refused', `https:// was redirected to ${next.href.slice(0, 200)}`)
  return await openDownload(next?.href ?? location, options, redirectsLeft - 1)
}

/** 408 and 429 allow a retry. Other 4xx codes do not. */
function statusFailure(target: URL, status: number): ArrivalError {
  const patient = status >= 500 || status === 408 || status === 429
  return new ArrivalError(patient ? 'Network' : 'Refused', `${target.host} answered with HTTP status ${status}`)
}

async function getOnce(target: URL, { addresses, refused, silenceMs, signal }: DownloadOptions): Promise<IncomingMessage> {
  const lookup = await addresses.lookupOf(target, refused)
  const get = target.protocol === 'https:' ? httpsGet : httpGet
  return await new Promise((resolve, reject) => {
    // `agent: false` uses a separate connection that closes with the image. `identity`, because the hash is that of the file.
    const headers = { 'accept-encoding': 'identity', 'user-agent': 'swarmvirt' }
    const request = get(target, { agent: false, signal, headers, lookup }, resolve)
    request.setTimeout(silenceMs, () =>
      request.destroy(new ArrivalError('Network', `${target.host} sent nothing for ${silenceMs / 1000} s`)),
    )
    request.once('error', (error) => reject(networkFailure(error)))
  })
}
