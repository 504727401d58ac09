import { globSync, readFileSync } from 'node:fs'
import { parseSync } from 'oxc-parser'
import { describe, expect, it } from 'vitest'

type Statement = ReturnType<typeof parseSync>['program']['body'][number]

/** An interface, a type, an import of types, or an error class. */
function standsInAPort(statement: Statement): boolean {
  const declared = statement.type === 'ExportNamedDeclaration' ? statement.declaration : statement
  switch (declared?.type) {
    case 'TSInterfaceDeclaration':
    case 'TSTypeAliasDeclaration':
      return true
    case 'ImportDeclaration':
      return declared.importKind === 'type'
    case 'ClassDeclaration':
      return declared.superClass?.type === 'Identifier' && declared.superClass.name === 'Error'
    default:
      return false
  }
}

describe('src/ports', () => {
  it.each(globSync('src/ports/**/*.ts'))('%s holds interfaces and error types', (path) => {
    const source = readFileSync(path, 'utf8')
    const others = parseSync(path, source).program.body.filter((statement) => !standsInAPort(statement))
    expect(others.map(({ start, end }) => source.slice(start, end))).toEqual([])
  })
})

/** The files that make checked strings. Elsewhere a cast would skip the check. */
const makers = ['src/api/mac.ts', 'src/api/names.ts']

describe('names and addresses', () => {
  it.each(globSync(['src/**/*.ts', 'runner/**/*.ts'], { exclude: makers }))('%s makes none without its check', (path) => {
    expect(readFileSync(path, 'utf8').match(/\bas (Mac|VmName|VmUid|NodeId)\b|\.brand\b/g)).toBeNull()
  })
})
