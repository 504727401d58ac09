/** Faults are tried again and again: once is luck. `SWARMVIRT_ROUND=2` is the second time alone, since all of them take longer than a suite may. */
export function rounds(count: number): readonly number[] {
  const only = process.env['SWARMVIRT_ROUND']
  return only === undefined ? Array.from({ length: count }, (_none, index) => index + 1) : [Number(only)]
}
