import { PortError } from '../../ports/errors.ts'

/** Removes idempotently: an object that is already gone counts as removed. */
export async function unlessGone(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if (!(error instanceof PortError && error.kind === 'NotFound')) throw error
  }
}
