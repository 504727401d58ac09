/** Replaces control and format characters by spaces. Terminals obey them, and text of guests, runners and servers must not speak to one. */
export function printable(text: string): string {
  return text.replaceAll(/[\p{Cc}\p{Cf}\p{Zl}\p{Zp}]/gu, ' ')
}
