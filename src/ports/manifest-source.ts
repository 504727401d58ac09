import type { SourceSnapshot } from '../api/manifest/source-documents.ts'

export interface ManifestSource {
  read(signal?: AbortSignal): Promise<SourceSnapshot>
  /**
   * Reads the files of the notifications since the last read and merges them into it; undefined if a commit may have changed more. It does
   * not prove an absence. A complete read follows.
   */
  readHinted?(signal?: AbortSignal): Promise<SourceSnapshot | undefined>
  /** Reads the files of the notifications so far in advance, so that `readHinted` is fast. Never fails. */
  readAhead?(): Promise<void>
  /** Calls back when something may have changed. Returns a function that stops it. */
  watch(onHint: () => void): () => void
}
