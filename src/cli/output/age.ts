/** As in kubectl: the largest nonzero unit, and for minutes the seconds as well. */
export function age(time: string, nowMs: number): string {
  const seconds = Math.max(0, Math.round((nowMs - Date.parse(time)) / 1000))
  if (Number.isNaN(seconds)) return ''
  if (seconds < 120) return `${seconds}s`
  if (seconds < 600) return `${Math.floor(seconds / 60)}m${seconds % 60}s`
  if (seconds < 7_200) return `${Math.floor(seconds / 60)}m`
  return seconds < 172_800 ? `${Math.floor(seconds / 3_600)}h` : `${Math.floor(seconds / 86_400)}d`
}
