const secondMs = 1_000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs

/** How a duration is written; each unit once and the largest first. */
export const durationPattern = /^(?=\d)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?$/

/** Reads a duration as Docker and Go write it (`90s`, `1h30m`); milliseconds, or undefined where it is none. */
export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text)
  if (match === null) return undefined
  const [hours, minutes, seconds, milliseconds] = match.slice(1).map((count) => Number(count ?? 0))
  return (hours ?? 0) * hourMs + (minutes ?? 0) * minuteMs + (seconds ?? 0) * secondMs + (milliseconds ?? 0)
}
