/** Caches the result by object identity, for immutable objects such as those read from the Swarm. */
export function memoised<Given extends object, Answer>(answer: (given: Given) => Answer): (given: Given) => Answer {
  const answers = new WeakMap<Given, { readonly answer: Answer }>()
  return (given) => {
    const known = answers.get(given) ?? { answer: answer(given) }
    answers.set(given, known)
    return known.answer
  }
}
