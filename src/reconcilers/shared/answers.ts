import { PortError } from '../../ports/errors.ts'

/** An answer, or the reason why there is none. No answer does not mean that the thing does not exist. */
export type Answer<T> = { readonly known: true; readonly value: T } | { readonly known: false; readonly message: string }

/** Turns `Unavailable` into a value; throws every other error. */
export async function answerOf<T>(question: Promise<T>): Promise<Answer<T>> {
  try {
    return { known: true, value: await question }
  } catch (error) {
    if (error instanceof PortError && error.kind === 'Unavailable') return { known: false, message: error.message }
    throw error
  }
}

/** As `answerOf`, but NotFound is an answer too: undefined. */
export async function answerOrNone<T>(question: Promise<T>): Promise<Answer<T | undefined>> {
  return answerOf(
    question.catch((error: unknown) => {
      if (error instanceof PortError && error.kind === 'NotFound') return undefined
      throw error
    }),
  )
}

/** Removes idempotently: an object that is already gone counts as removed. */
export async function unlessGone(removal: Promise<void>): Promise<void> {
  try {
    await removal
  } catch (error) {
    if (!(error instanceof PortError && error.kind === 'NotFound')) throw error
  }
}
