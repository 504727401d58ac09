import { Command, InvalidArgumentError } from 'commander'

/** A command-line program of this repository. It exits 2 for wrong usage, like `docker vm`, and 1 for a failure. */
export function programNamed(name: string, description: string): Command {
  return new Command(name)
    .description(description)
    .allowExcessArguments(false)
    .showHelpAfterError('See --help.')
    .exitOverride(({ exitCode }) => process.exit(exitCode === 0 ? 0 : 2))
}

/** Parses an integer of at least `least`. Throws commander's error otherwise. */
export function integerFrom(least: number): (text: string) => number {
  return (text) => {
    const value = Number(text)
    if (text.trim() === '' || !Number.isSafeInteger(value) || value < least)
      throw new InvalidArgumentError(`It must be an integer, ${least} or more.`)
    return value
  }
}

/** `2/4`: the second of four parts. */
export interface Part {
  readonly which: number
  readonly of: number
}

export function parsePart(text: string): Part {
  const [, which = 0, of = 0] = /^(\d+)\/(\d+)$/.exec(text)?.map(Number) ?? []
  if (which < 1 || which > of) throw new InvalidArgumentError('It must be K/N with K from 1 to N, such as 2/4.')
  return { which, of }
}
