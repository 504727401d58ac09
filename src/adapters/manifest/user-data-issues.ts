import { type Document, isScalar } from 'yaml'
import { at, type ManifestIssue, type ManifestPath } from '../../api/manifest.ts'
import { insideScalar } from './inside-scalar.ts'
import type { Position } from './render.ts'
import { positionOf, type Text } from './text.ts'
import type { UserDataFinding } from './user-data-finding.ts'
import { userDataFindings } from './user-data.ts'

/** An issue with a known place. */
export interface PlacedIssue {
  readonly issue: ManifestIssue
  readonly at: Position
}

const path = ['spec', 'cloudInit', 'userData']

/** Issues in the user data of a VM, at their lines of the file. `here` is the path of the VM in its document. */
export function userDataIssues(input: Text, document: Document.Parsed, here: ManifestPath, value: unknown): readonly PlacedIssue[] {
  const text = at(value, path)
  if (typeof text !== 'string') return []
  const keys = at(value, ['spec', 'cloudInit', 'sshAuthorizedKeys'])
  const node = document.getIn([...here, ...path], true)
  const scalar = isScalar(node) ? node : undefined
  const isFolded = scalar?.type === 'BLOCK_FOLDED'
  const found = userDataFindings(text, { isFolded, hasKeys: Array.isArray(keys) && keys.length > 0 })
  return found.map((finding) => {
    const range = scalar === undefined ? undefined : insideScalar(input.text, scalar, finding.from, finding.to)
    return { issue: issueOf(finding), at: positionOf(input, range ?? document.range) }
  })
}

function issueOf({ severity, message, help }: UserDataFinding): ManifestIssue {
  return severity === 'error' ? { code: 'VM015', path, message, help } : { code: 'VM040', severity, path, message, help }
}
