export interface Problem {
  readonly line: number
  readonly message: string
}

export function problemsAt(line: number, messages: readonly string[]): readonly Problem[] {
  return messages.map((message) => ({ line, message }))
}
