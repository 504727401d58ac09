import { describe, expect, it } from 'vitest'
import { documentTexts } from '../../../src/adapters/manifest/document-texts.ts'

const texts = (text: string) => documentTexts(text).map((one) => one.text)

describe('the documents of a manifest file', () => {
  it('keep their comments, their order of keys and their own way of writing', () => {
    const a = '# head\nkind: VirtualMachine   # kind\nmetadata: {name: "a"}\n# tail\n'
    const b = '# b\nmetadata:\n    name: b\nkind: VirtualMachine\n'
    expect(documentTexts(`${a}---\n${b}`)).toEqual([
      { kind: 'VirtualMachine', name: 'a', line: 2, text: a },
      { kind: 'VirtualMachine', name: 'b', line: 7, text: b },
    ])
  })

  it('are the same text wherever in a file they stand', () => {
    const one = 'kind: V\nmetadata: {name: a}\n'
    for (const file of [one, `---\n${one}`, `${one}...\n`, `\n\n---\n${one}---\n`, `---\n---\n${one}`]) expect(texts(file)).toEqual([one])
  })

  it('keep block scalars that look like an end', () => {
    const text = 'kind: V\nspec:\n  userData: |\n    a\n    ---\n    b\n'
    expect(texts(`${text}---\nkind: W\n`)).toEqual([text, 'kind: W\n'])
  })

  it('are the entries of a List, with their comments', () => {
    const list = 'kind: List\nitems:\n  # the first\n  - kind: V\n    metadata:\n      name: a # here\n  - {kind: W, metadata: {name: b}}\n'
    expect(documentTexts(list)).toEqual([
      { kind: 'V', name: 'a', line: 4, text: 'kind: V\nmetadata:\n  name: a # here\n' },
      { kind: 'W', name: 'b', line: 7, text: '{ kind: W, metadata: { name: b } }\n' },
    ])
  })

  it('of a List stand alone where one leans on another by an alias', () => {
    const [, b] = texts('kind: List\nitems:\n  - {kind: V, spec: &s {memory: 1Gi}}\n  - {kind: W, spec: *s}\n')
    expect(documentTexts(b ?? '')).toMatchObject([{ kind: 'W' }])
    expect(b).toContain('1Gi')
  })

  it('are none for what the reader refuses before it parses', () => {
    expect(texts(`a: ${'['.repeat(1000)}`)).toEqual([])
    expect(texts('a: [')).toEqual([])
    expect(texts('')).toEqual([])
  })
})
