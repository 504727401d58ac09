/** Docker's default hostname is the first twelve digits of the container ID. Undefined for any other hostname. */
export function containerOf(hostname: string): string | undefined {
  return /^[0-9a-f]{12}$/.test(hostname) ? hostname : undefined
}
