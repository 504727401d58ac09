/** Frames that a hostile peer sends: valid ones, changed in bytes or in structure, and bytes that are no frames. */
type Random = () => number

/** mulberry32: the same seed gives the same frames. */
export function seeded(seed: number): Random {
  let state = seed
  return () => {
    state = (state + 0x6d_2b_79_f5) | 0
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state)
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32
  }
}

const values: readonly unknown[] = [
  null,
  true,
  -1,
  1.5,
  2 ** 53,
  1e308,
  '',
  'x'.repeat(5_000),
  '../../etc/passwd',
  '\u0000',
  '\u001b[31m',
  '\ud800',
  [],
  {},
  [[[[[]]]]],
  { __proto__: null, constructor: 1 },
  '__proto__',
  'ff:ff:ff:ff:ff:ff',
  '00000000-0000-4000-8000-000000000001',
  'br0',
]

/** Bytes of one or more lines, made from the valid frames. */
export function mutation(random: Random, frames: readonly object[]): Buffer {
  const pick = <Value>(list: readonly Value[]): Value => list[Math.floor(random() * list.length)] as Value
  const valid = (): string => JSON.stringify(pick(frames))
  const kinds: readonly (() => Buffer)[] = [
    () => Buffer.from(`${JSON.stringify(changed(structuredClone(pick(frames)), random, pick))}\n`),
    () => flipped(Buffer.from(`${valid()}\n`), random),
    () => Buffer.from(valid().slice(0, Math.floor(random() * 40))),
    () => Buffer.from(`${valid()}\n`.repeat(1 + Math.floor(random() * 60))),
    () => Buffer.from(Array.from({ length: Math.floor(random() * 300) }, () => Math.floor(random() * 256))),
    () => Buffer.from(`${'['.repeat(Math.floor(random() * 30_000))}\n`),
    () => Buffer.from(`{"type":"${'x'.repeat(Math.floor(random() * 70_000))}"}\n`),
    () => Buffer.from('\n'.repeat(Math.floor(random() * 2_000))),
    () => Buffer.alloc(Math.floor(random() * 70_000), 0x20),
  ]
  return pick(kinds)()
}

function changed(frame: object, random: Random, pick: <Value>(list: readonly Value[]) => Value): unknown {
  const keys = Object.keys(frame)
  const key = pick([...keys, 'unknown'])
  const inner = (frame as Record<string, unknown>)[key]
  if (inner !== null && typeof inner === 'object' && random() < 0.6) return { ...frame, [key]: changed(inner, random, pick) }
  return { ...frame, [key]: pick(values) }
}

function flipped(bytes: Buffer, random: Random): Buffer {
  for (let count = 1 + Math.floor(random() * 4); count > 0; count -= 1)
    bytes[Math.floor(random() * bytes.length)] = Math.floor(random() * 256)
  return bytes
}
