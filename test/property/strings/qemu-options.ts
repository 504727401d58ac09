/** One argument of QEMU as QEMU reads it (util/qemu-option.c, util/keyval.c): JSON, or `key=value` pairs where `,,` stands for a comma. */
type Options = { readonly kind: 'json'; readonly value: unknown } | { readonly kind: 'pairs'; readonly pairs: readonly Pair[] }
type Pair = readonly [key: string, value: string]

function readOptions(text: string): Options {
  if (text.startsWith('{')) return { kind: 'json', value: JSON.parse(text) as unknown }
  return { kind: 'pairs', pairs: pairsOf(text) }
}

function pairsOf(text: string): readonly Pair[] {
  const pairs: Pair[] = []
  for (let at = 0; at < text.length; ) {
    let value = ''
    for (; at < text.length; at += 1) {
      if (text[at] !== ',') value += text[at]
      else if (text[at + 1] === ',') value += text[++at]
      else break
    }
    at += 1
    const equals = value.indexOf('=')
    pairs.push(equals < 0 ? ['', value] : [value.slice(0, equals), value.slice(equals + 1)])
  }
  return pairs
}

/** The values of an argument, each with the place at which it is. Two arguments with the same places differ in values alone. */
export function placesOf(text: string): ReadonlyMap<string, string> {
  const found = new Map<string, string>()
  const visit = (path: string, value: unknown): void => {
    if (value !== null && typeof value === 'object') for (const [key, inner] of Object.entries(value)) visit(`${path}/${key}`, inner)
    else found.set(path, String(value))
  }
  const options = readOptions(text)
  if (options.kind === 'json') visit('', options.value)
  else options.pairs.forEach(([key, value], index) => visit(`/${index}/${key}`, value))
  return found
}
