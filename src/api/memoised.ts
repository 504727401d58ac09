/** Answers by the object that is asked about: for what never changes and is asked about again and again, such as what was read of the Swarm. */
export function memoised<Given extends object, Answer>(answer: (given: Given) => Answer): (given: Given) => Answer {
  const answers = new WeakMap<Given, { readonly answer: Answer }>()
  return (given) => {
    const known = answers.get(given) ?? { answer: answer(given) }
    answers.set(given, known)
    return known.answer
  }
}
