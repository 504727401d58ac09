/** One document of a file, byte for byte. */
export interface ManifestText {
  /** As it is written: `VirtualMachine`. Empty where there is none. */
  readonly kind: string
  /** Empty where there is none. */
  readonly name: string
  /** 1-based line of the document's first key in its file. */
  readonly line: number
  /** Ends in a newline; with its comments, and without the `---` around it. */
  readonly text: string
}

/** Takes a manifest file apart; entries of a `kind: List` count as documents. Only for what the manifest reader took: anything else may give nothing. */
export type SplitManifest = (text: string) => readonly ManifestText[]
