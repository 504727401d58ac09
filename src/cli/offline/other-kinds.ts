import type { SourceSnapshot } from '../../api/manifest/source-documents.ts'
import type { ReadTexts } from '../declare/declared.ts'

export const otherKindsFlag = [
  '--ignore-other-kinds',
  'ignore documents of other tools, such as a compose file (default: report an error)',
] as const

/** The snapshots without well-formed documents of other kinds. */
export function ofOurKinds(snapshots: readonly SourceSnapshot[]): readonly SourceSnapshot[] {
  return snapshots.map((one) => ({
    ...one,
    documents: one.documents.filter((document) => document.ok || document.otherKind === undefined),
  }))
}

/** The same for a write: a document's text and its result have the same index. */
export function textsOfOurKinds({ snapshots, files }: ReadTexts): ReadTexts {
  const places = snapshots.flatMap(({ documents }) =>
    documents.flatMap((one) => (one.ok || one.otherKind === undefined ? [] : [`${one.origin.file}:${one.origin.line}`])),
  )
  const others = new Set(places)
  return {
    snapshots: ofOurKinds(snapshots),
    files: files.map(({ file, texts }) => ({ file, texts: texts.filter(({ line }) => !others.has(`${file}:${line}`)) })),
  }
}
