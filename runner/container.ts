/** Docker makes the first twelve digits of a container's id its hostname, unless it is told another. Undefined where this is no such name. */
export function containerOf(hostname: string): string | undefined {
  return /^[0-9a-f]{12}$/.test(hostname) ? hostname : undefined
}
