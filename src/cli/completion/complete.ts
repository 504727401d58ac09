import type { Command, Option } from 'commander'

/** Completion directives after the candidates, as in Docker's own completion (cobra). */
const directives = { files: ':0', noFiles: ':4' } as const

/**
 * Returns the candidates for the last of `words` (after `docker vm`), one per line as `VALUE<tab>DESCRIPTION`, then the directive. Docker's
 * completion calls `docker-vm __complete vm WORDS…`.
 */
export async function complete(
  vm: Command,
  words: readonly string[],
  withText: boolean,
  vmNames: () => Promise<readonly string[]>,
): Promise<string> {
  const current = words.at(-1) ?? ''
  const { candidates, files } = await candidatesFor(vm, words, vmNames)
  const lines = candidates
    .filter(([value]) => value.startsWith(current))
    .map(([value, text]) => (withText && text !== '' ? `${value}\t${text}` : value))
  return [...lines, files ? directives.files : directives.noFiles, ''].join('\n')
}

interface Candidates {
  readonly candidates: readonly (readonly [value: string, text: string])[]
  /** True if file names are also candidates. */
  readonly files: boolean
}

const nothing: Candidates = { candidates: [], files: false }

async function candidatesFor(vm: Command, words: readonly string[], vmNames: () => Promise<readonly string[]>): Promise<Candidates> {
  const [name = '', ...rest] = words
  if (rest.length === 0) return { candidates: [...verbsOf(vm), ...optionsOf(vm)], files: false }
  const verb = vm.commands.find((one) => one.name() === name || one.aliases().includes(name))
  if (verb === undefined) return nothing
  const current = words.at(-1) ?? ''
  const before = verb.options.find((option) => takesValue(option) && isFlag(option, rest.at(-2)))
  if (before !== undefined) return { candidates: [], files: before.long === '--filename' }
  if (current.startsWith('-')) return { candidates: optionsOf(verb), files: false }
  return argumentsOf(verb, vmNames)
}

function verbsOf(vm: Command): Candidates['candidates'] {
  return vm.commands.map((one) => [one.name(), one.description()] as const).toSorted(([a], [b]) => (a < b ? -1 : 1))
}

function optionsOf(verb: Command): Candidates['candidates'] {
  const own = verb.options.filter((option) => !option.hidden).map((option) => [option.long ?? option.flags, option.description] as const)
  return [...own, ['--help', 'display help for command'] as const]
}

function takesValue(option: Option): boolean {
  return option.required || option.optional
}

function isFlag(option: Option, word: string | undefined): boolean {
  return word !== undefined && (word === option.long || word === option.short)
}

const shells = ['bash', 'zsh', 'fish'] as const

async function argumentsOf(verb: Command, vmNames: () => Promise<readonly string[]>): Promise<Candidates> {
  const argument = verb.registeredArguments[0]?.name()
  if (argument === 'path' && verb.name() === 'validate') return { candidates: [], files: true }
  if (argument === 'shell') return { candidates: shells.map((shell) => [shell, ''] as const), files: false }
  if (argument !== 'name' || verb.name() === 'create') return nothing
  return { candidates: (await vmNames()).map((name) => [name, ''] as const), files: false }
}
