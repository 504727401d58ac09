/**
 * Replaces control and format characters by spaces. Terminals act on them, and the text of guests, runners and servers must not control a
 * terminal.
 */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
}
