const secondMs = 1_000
const minuteMs = 60 * secondMs
const hourMs = 60 * minuteMs

/** The format of a duration: each unit at most once, the largest first. */
export const durationPattern = /^(?=\d)(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,6})s)?(?:(\d{1,6})ms)?$/

/** Reads a duration in the format of Docker and Go (`90s`, `1h30m`). Returns milliseconds; undefined if it is not a duration. */
export function parseDuration(text: string): number | undefined {
  const match = durationPattern.exec(text)
  if (match === null) return undefined
  const [hours, minutes, seconds, milliseconds] = match.slice(1).map((count) => Number(count ?? 0))
  return (hours ?? 0) * hourMs + (minutes ?? 0) * minuteMs + (seconds ?? 0) * secondMs + (milliseconds ?? 0)
}
