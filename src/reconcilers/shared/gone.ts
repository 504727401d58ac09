import { PortError } from '../../ports/errors.ts'

/** What is to be removed and is not there is done. */
export async function unlessGone(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if (!(error instanceof PortError && error.kind === 'NotFound')) throw error
  }
}
