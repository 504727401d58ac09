import { z } from 'zod'
import { closest } from '../closest.ts'
import { cpuModelPattern, cpuModels } from '../cpu-models.ts'
import { durationPattern, parseDuration } from '../duration.ts'
import { parseMac } from '../mac.ts'
import { parseQuantity, quantityPattern } from '../quantity.ts'
import { publicKeyPattern, whyNoPublicKey } from './public-key.ts'

/** A quantity in the manifest (`2Gi`), bytes in the program. `leastText` is the minimum as shown in messages, such as `32Mi`. */
export function quantity(leastText: string) {
  // The pattern is for the JSON Schema; the message for an invalid value quotes it.
  const bytes = written(quantityPattern).transform((text, context) => bytesOf(text, leastText, context))
  return bytes.meta({ unit: 'bytes, such as 512Mi, 2Gi or 20G', least: leastText })
}

/** The same, or `auto`. */
export function quantityOrAuto(leastText: string) {
  const bytes = written(new RegExp(`^auto$|${quantityPattern.source}`)).transform((text, context) =>
    text === 'auto' ? text : bytesOf(text, leastText, context),
  )
  return bytes.meta({ unit: 'auto, or bytes, such as 256Mi', least: leastText })
}

function bytesOf(text: string, leastText: string, context: z.core.$RefinementCtx): number {
  const parsed = parseQuantity(text)
  if (parsed === undefined) return refused(context, `"${text}" is not a quantity of bytes`, quantityHelp(text))
  return parsed < (parseQuantity(leastText) ?? 0) ? refused(context, `${text} is less than the minimum, ${leastText}`) : parsed
}

/** A duration in the manifest (`120s`), milliseconds in the program. */
export function duration(leastText: string, mostText: string) {
  const least = parseDuration(leastText) ?? 0
  const most = parseDuration(mostText) ?? Number.POSITIVE_INFINITY
  const ms = written(durationPattern).transform((text, context) => {
    const parsed = parseDuration(text)
    if (parsed === undefined) return refused(context, `"${text}" is not a duration; write for example 90s, 2m or 1h30m`)
    return parsed < least || parsed > most ? refused(context, `${text} is not between ${leastText} and ${mostText}`) : parsed
  })
  return ms.meta({ unit: 'time, such as 90s, 2m or 1h30m', least: leastText, most: mostText })
}

const noMac = 'not a unicast MAC address; write auto or for example 52:54:00:12:34:56'

/** `auto`, or a unicast MAC in any usual format. The program uses lower case with colons. */
export function macAddress() {
  const unicast = written(/^[0-9a-fA-F][02468aceACE]([:-][0-9a-fA-F]{2}){5}$/, '52:54:00:12:34:56').transform((text, context) => {
    return parseMac(text) ?? refused(context, noMac)
  })
  return z.union([z.literal('auto'), unicast], noMac)
}

const octet = '(25[0-5]|2[0-4]\\d|1\\d\\d|[1-9]?\\d)'
const anyIpv4 = new RegExp(`^${octet}(\\.${octet}){3}$`)
/** Excludes 0.…, 127.…, and everything from 224 on. */
const hostIpv4 = new RegExp(`^([1-9]|[1-9]\\d|1[013-9]\\d|12[0-689]|2[01]\\d|22[0-3])(\\.${octet}){3}$`)

/** An IPv4 address that a machine can have. */
export function ipv4() {
  return written(hostIpv4, '192.168.50.42').transform((text, context) => {
    if (hostIpv4.test(text)) return text
    if (anyIpv4.test(text)) return refused(context, `no machine can have the address ${text}`, whyNoHost(text))
    const help = text.includes('/') ? 'write the address without its prefix length' : 'write for example 192.168.50.42'
    return refused(context, `"${text}" is not an IPv4 address`, help)
  })
}

/** The same as an entry of a list, which has no description of its own. */
export function listedIpv4() {
  return z.string().regex(hostIpv4, 'not an IPv4 address; write for example 192.168.50.1')
}

const hostInSubnet = new RegExp(`${hostIpv4.source.slice(0, -1)}/([1-9]|[12]\\d|3[0-2])$`)

/** An IPv4 address with the length of its subnet's prefix. */
export function ipv4InSubnet() {
  return written(hostInSubnet, '192.168.50.42/24').transform((text, context) => {
    if (hostInSubnet.test(text)) return text
    return refused(context, `"${text}" is not an IPv4 address with a prefix length`, 'write for example 192.168.50.42/24')
  })
}

function whyNoHost(text: string): string {
  const first = Number(text.split('.')[0])
  if (first === 0) return 'leave the field out if no address is expected'
  if (first === 127) return 'it is a loopback address; write the one that the DHCP reservation gives'
  return `it is a ${first < 240 ? 'multicast' : 'reserved or broadcast'} address; write the one that the DHCP reservation gives`
}

/** A line of `authorized_keys`. Error messages never contain the string, because it may be a private key. */
export function publicKey() {
  return z
    .string()
    .max(16_384)
    .superRefine((text, context) => {
      const why = whyNoPublicKey(text)
      // Without `continue` the pattern, which is for the JSON Schema, would report the error a second time.
      if (why !== undefined) context.addIssue({ code: 'custom', message: why.message, continue: false, params: { help: why.help } })
    })
    .regex(new RegExp(publicKeyPattern), 'a public key is one line as a .pub file of OpenSSH has it')
}

export function cpuModel() {
  return written(cpuModelPattern, 'EPYC-Rome-v2').transform((text, context) => {
    if (cpuModelPattern.test(text)) return text
    const meant = closest(text, cpuModels)
    return refused(
      context,
      `QEMU 10.0 has no CPU model "${text}"`,
      meant === undefined ? 'host works on every node' : `did you mean "${meant}"?`,
    )
  })
}

/** A node's host name (RFC 1123), as Docker shows it. */
export function hostname() {
  return z
    .string()
    .max(253)
    .regex(/^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$/, 'not a host name')
}

export function port() {
  return z.int().min(1).max(65_535)
}

function written(pattern: RegExp, form?: string) {
  return z.string().meta({ pattern: pattern.source, ...(form === undefined ? {} : { form }) })
}

/** Suggests the intended quantity for `1GB`, `512 MB`, `2g` or `1 GiB`. */
function quantityHelp(text: string): string {
  const [, number, prefix, binary] = /^([\d.]+)[ _]?([kmgt])(i?)b?$/i.exec(text) ?? []
  const letter = prefix?.toUpperCase() ?? ''
  const meant = (binary === '' ? [`${number}${letter}i`, `${number}${letter}`] : [`${number}${letter}i`]).filter(isQuantity)
  return number === undefined || meant.length === 0 ? 'write for example 512Mi or 20Gi' : `write ${meant.join(' or ')}`
}

function isQuantity(text: string): boolean {
  return parseQuantity(text) !== undefined
}

function refused(context: z.core.$RefinementCtx, message: string, help?: string): never {
  context.addIssue({ code: 'custom', message, ...(help === undefined ? {} : { params: { help } }) })
  return z.NEVER
}
