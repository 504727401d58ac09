/** One document of a file, unchanged. */
export interface ManifestText {
  /** As written: `VirtualMachine`. Empty if there is none. */
  readonly kind: string
  /** Empty if there is none. */
  readonly name: string
  /** 1-based line of the document's first key in its file. */
  readonly line: number
  /** Ends with a newline. Includes comments, but not the `---` around the document. */
  readonly text: string
}

/**
 * Splits a manifest file into documents; entries of a `kind: List` count as documents. The file must have been accepted by the manifest
 * reader.
 */
export type SplitManifest = (text: string) => readonly ManifestText[]
