const names: readonly (readonly [RegExp, string, string])[] = [
  [/[\u00a0\u2000-\u200a\u202f\u205f\u3000]/u, 'a no-break or other special space', 'type a plain space'],
  [/[\u200b-\u200d\u2060]/u, 'an invisible character', 'remove it'],
  [/[\u201c-\u201f\u00ab\u00bb]/u, 'a typographic quote', 'type a plain "'],
  [/[\u2018-\u201b]/u, 'a typographic quote', "type a plain '"],
  [/[\u2010-\u2015\u2212]/u, 'a typographic dash', 'type a plain -'],
  [/[\uff1a\ua789\u2236]/u, 'a colon of another script', 'type a plain :'],
]

/** Names a character that looks like YAML syntax but is not. Word processors and web pages create them. */
export function lookAlike(line: string): string | undefined {
  for (const [pattern, name, remedy] of names) {
    const at = line.search(pattern)
    if (at === -1) continue
    const code = (line.codePointAt(at) ?? 0).toString(16).toUpperCase().padStart(4, '0')
    return `column ${at + 1} has ${name} (U+${code}); ${remedy}`
  }
  return undefined
}
