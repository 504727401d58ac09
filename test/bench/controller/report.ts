/** Figures and how they compare with what the issue asks for. */
export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Nearest rank. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}

export interface Aim {
  readonly name: string
  /** A measured value with its unit, beside its reference. */
  readonly figures: string
  readonly aim: string
  readonly met: boolean
}

export function printAim({ name, figures, aim, met }: Aim): void {
  process.stdout.write(`${met ? 'met   ' : 'missed'}  ${name}: ${figures} (aim: ${aim})\n`)
}

export function printNote(text: string): void {
  process.stdout.write(`        ${text}\n`)
}

/** `GET services 1, nodes 1`: calls by method, the most frequent first. */
export function callsText(calls: Readonly<Record<string, number>>): string {
  const sorted = Object.entries(calls).toSorted(([, a], [, b]) => b - a)
  return sorted.length === 0 ? 'none' : sorted.map(([method, count]) => `${method} ${count}`).join(', ')
}
