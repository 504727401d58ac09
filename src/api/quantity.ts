const units: Record<string, number> = {
  '': 1,
  k: 1e3,
  K: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
}

/** The format of a quantity of bytes; a match is not always an integer number of bytes. */
export const quantityPattern = /^(\d{1,15}(?:\.\d{1,9})?)(k|[KMGT]i?)?$/

/**
 * Reads a Kubernetes quantity of bytes (`512Mi`, `2Gi`, `20G`, `1.5Gi`). Returns undefined for other strings, and for a fraction of a byte.
 */
export function parseQuantity(text: string): number | undefined {
  const match = quantityPattern.exec(text)
  if (!match) return undefined
  const unit = units[match[2] ?? '']
  if (unit === undefined) return undefined
  const bytes = Number(match[1]) * unit
  return Number.isSafeInteger(bytes) ? bytes : undefined
}

/** Human-readable bytes, in the largest binary unit with at least one digit before the point. */
export function formatBytes(bytes: number): string {
  const steps = ['B', 'KiB', 'MiB', 'GiB', 'TiB']
  let value = bytes
  let step = 0
  while (value >= 1024 && step < steps.length - 1) {
    value /= 1024
    step += 1
  }
  return `${Number.isInteger(value) ? value : value.toFixed(1)} ${steps[step]}`
}
