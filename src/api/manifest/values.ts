import { z } from 'zod'
import { durationPattern, parseDuration } from '../duration.ts'
import { parseMac } from '../mac.ts'
import { parseQuantity, quantityPattern } from '../quantity.ts'

/** A quantity in the manifest (`2Gi`), bytes in the program. The least one is said by its own text, `32Mi`. */
export function quantity(leastText: string) {
  const least = parseQuantity(leastText) ?? 0
  // The pattern is for the JSON Schema; what is said of a wrong value quotes it.
  const bytes = written(quantityPattern).transform((text, context) => {
    const parsed = parseQuantity(text)
    if (parsed === undefined) return refused(context, `"${text}" is not a quantity of bytes; write for example 512Mi or 20Gi`)
    return parsed < least ? refused(context, `${text} is less than the least possible, ${leastText}`) : parsed
  })
  return bytes.meta({ unit: 'bytes, written like 512Mi, 2Gi or 20G', least: leastText })
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
  return ms.meta({ unit: 'time, written like 90s, 2m or 1h30m', least: leastText, most: mostText })
}

const noMac = 'not a unicast MAC address; write auto or for example 52:54:00:12:34:56'

/** `auto`, or a unicast MAC in any usual spelling; lower case with colons in the program. */
export function macAddress() {
  const unicast = written(/^[0-9a-fA-F][02468aceACE]([:-][0-9a-fA-F]{2}){5}$/, '52:54:00:12:34:56').transform((text, context) => {
    return parseMac(text) ?? refused(context, noMac)
  })
  return z.union([z.literal('auto'), unicast], noMac)
}

export function ipv4() {
  return z.ipv4('not an IPv4 address; write for example 192.168.50.42').meta({ form: '192.168.50.42' })
}

/** RFC 1123, as Docker shows a node's. */
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

function refused(context: z.core.$RefinementCtx, message: string): never {
  context.addIssue({ code: 'custom', message })
  return z.NEVER
}
