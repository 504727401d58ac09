import { PortError } from '../../ports/errors.ts'

/** An answer, or that there was none. No answer says nothing about what was asked for. */
export type Asked<T> = { readonly known: true; readonly value: T } | { readonly known: false; readonly message: string }

/** Waits for an answer; a port that is `Unavailable` is a value here, every other error is thrown on. */
export async function ask<T>(question: Promise<T>): Promise<Asked<T>> {
  try {
    return { known: true, value: await question }
  } catch (error) {
    if (error instanceof PortError && error.kind === 'Unavailable') return { known: false, message: error.message }
    throw error
  }
}

/** As `ask`, where a certain NotFound is an answer too. */
export async function askFor<T>(question: Promise<T>): Promise<Asked<T | undefined>> {
  return ask(
    question.catch((error: unknown) => {
      if (error instanceof PortError && error.kind === 'NotFound') return undefined
      throw error
    }),
  )
}
