import type { RunnerStatus } from '../src/api/wire/runner-control.ts'

/** QEMU's answers to `query-balloon` and `guest-stats`. A statistic that the guest did not send is -1, or 2^64-1 in QEMU's own type. */
export function memoryIn(target: unknown, stats: unknown): RunnerStatus['memory'] {
  const targetBytes = bytesIn(target, 'actual')
  if (targetBytes === undefined) return undefined
  const sent = (stats as { readonly stats?: unknown } | null)?.stats
  const [totalBytes, availableBytes] = [bytesIn(sent, 'stat-total-memory'), bytesIn(sent, 'stat-available-memory')]
  return {
    targetBytes,
    ...(totalBytes === undefined ? {} : { totalBytes }),
    ...(availableBytes === undefined ? {} : { availableBytes }),
  }
}

function bytesIn(value: unknown, key: string): number | undefined {
  const found = value !== null && typeof value === 'object' ? (value as Readonly<Record<string, unknown>>)[key] : undefined
  return typeof found === 'number' && Number.isSafeInteger(found) && found >= 0 ? found : undefined
}
