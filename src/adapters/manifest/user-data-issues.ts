import { type Document, isScalar } from 'yaml'
import { at, type ManifestIssue, type ManifestPath } from '../../api/manifest.ts'
import { insideScalar } from './inside-scalar.ts'
import type { Position } from './render.ts'
import { positionOf, type Text } from './text.ts'
import type { UserDataFinding } from './user-data-finding.ts'
import { networkDataFindings, userDataFindings } from './user-data.ts'

/** An issue with a known place. */
export interface PlacedIssue {
  readonly issue: ManifestIssue
  readonly at: Position
}

const userData = ['spec', 'cloudInit', 'userData']
const networkData = ['spec', 'cloudInit', 'networkData']

/** Issues in the user data and the network data of a VM, at their lines of the file. `here` is the path of the VM in its document. */
export function userDataIssues(input: Text, document: Document.Parsed, here: ManifestPath, value: unknown): readonly PlacedIssue[] {
  const keys = at(value, ['spec', 'cloudInit', 'sshAuthorizedKeys'])
  const hasKeys = Array.isArray(keys) && keys.length > 0
  return [
    ...issuesAt(input, document, { here, path: userData, value }, (text, isFolded) => userDataFindings(text, { isFolded, hasKeys })),
    ...issuesAt(input, document, { here, path: networkData, value }, networkDataFindings),
  ]
}

interface Place {
  readonly here: ManifestPath
  readonly path: readonly string[]
  readonly value: unknown
}

function issuesAt(
  input: Text,
  document: Document.Parsed,
  { here, path, value }: Place,
  find: (text: string, isFolded: boolean) => readonly UserDataFinding[],
): readonly PlacedIssue[] {
  const text = at(value, path)
  if (typeof text !== 'string') return []
  const node = document.getIn([...here, ...path], true)
  const scalar = isScalar(node) ? node : undefined
  return find(text, scalar?.type === 'BLOCK_FOLDED').map((finding) => {
    const range = scalar === undefined ? undefined : insideScalar(input.text, scalar, finding.from, finding.to)
    return { issue: issueOf(path, finding), at: positionOf(input, range ?? document.range) }
  })
}

function issueOf(path: readonly string[], { severity, message, help }: UserDataFinding): ManifestIssue {
  return severity === 'error' ? { code: 'VM015', path, message, help } : { code: 'VM040', severity, path, message, help }
}
