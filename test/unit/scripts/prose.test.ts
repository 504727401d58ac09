import { expect, test } from 'vitest'
import { checkMarkdown } from '../../../scripts/prose/markdown.ts'
import { checkSource } from '../../../scripts/prose/source.ts'

const messages = (text: string): readonly string[] => checkMarkdown(text).map(({ message }) => message)

test('a sentence of the documentation has at most 30 words, and code counts as one', () => {
  const words = (count: number): string => `A${' word'.repeat(count - 1)}`
  expect(messages(`${words(30)}. ${words(30)}.`)).toEqual([])
  expect(messages(`${words(30)} \`npm run check\`.`)).toEqual([expect.stringContaining('31 words in a sentence')])
  // A sentence may end with a unit, and the next one may begin with code.
  expect(messages(`${words(28)} 10 s. ${words(30)}. \`npm ci\` ${words(29)}.`)).toEqual([])
})

test('a sentence names its thing first, but a question may begin with "Who", and a heading with "What"', () => {
  expect(messages('Whose it is, only labels tell.')).toEqual([expect.stringContaining('begins with "Whose"')])
  expect(messages('Who can read the secret?')).toEqual([])
  expect(messages('Of these VMs one runs.')).toEqual([expect.stringContaining('begins with "Of"')])
  expect(messages('What a VM needs is a disk.')).toEqual([expect.stringContaining('begins with "What"')])
  expect(messages('## What a VM needs')).toEqual([])
})

test('the word list holds in paragraphs, headings, lists and tables, and not in code', () => {
  const found = '"withheld": write blocked'
  expect(messages('## Removals that are withheld')).toEqual([found])
  expect(messages('- They are withheld.')).toEqual([found])
  expect(messages('| a | b |\n|---|---|\n| 1 | withheld |')).toEqual([found])
  expect(messages('The field `withheld`.\n\n```\nwithheld\n```')).toEqual([])
})

test('comments and messages of the program are checked, and names and one-word strings are not', () => {
  const source = [
    'const told = "told"',
    '// Whose it is.',
    '/**',
    ' * Of a VM, the node.',
    ' */',
    '// The field `told`.',
    'log(`${told} was told`)',
  ].join('\n')
  expect(checkSource('a.ts', source)).toEqual([
    { line: 2, message: expect.stringContaining('"Whose"') },
    { line: 3, message: expect.stringContaining('"Of"') },
    { line: 7, message: '"told": write reported' },
  ])
})
