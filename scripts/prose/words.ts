/** Phrases that are hard to read, with their replacements. All forms are listed, since the check has no grammar. */
const words: Readonly<Record<string, string>> = {
  anew: 'again',
  'as it is': 'unchanged',
  'asked for': 'requested',
  'by itself': 'automatically',
  'for ever': 'forever',
  foresee: 'dry run',
  foreseen: 'dry run',
  heard: 'received or learned',
  'in doubt': 'stale or unknown',
  'laid together': 'merged',
  ledger: 'assumed placements',
  'look at': 'check or reconcile',
  'looked at': 'checked or reconciled',
  'looks at': 'checks or reconciles',
  'mapping of texts': 'map[string]string',
  'of before': 'previous',
  'put back': 'restored',
  'puts back': 'restores',
  rung: 'check or condition',
  rungs: 'checks or conditions',
  shelf: 'cache or store',
  'take hold': 'apply or take effect',
  'takes hold': 'applies or takes effect',
  texts: 'strings',
  told: 'reported',
  whoever: 'a user who, a controller that',
  'whole number': 'integer',
  withheld: 'blocked',
  withhold: 'block',
  withholds: 'blocks',
}
const phrase = new RegExp(`\\b(?:${Object.keys(words).join('|')})\\b`, 'gi')

/** Such a beginning hides the subject of the sentence. Questions are allowed. */
const beginning = /^\W*(Whose|Whom|Who|Of|Those that|So that|What\b(?! can go wrong)(?=.*\.$))\b(?!.*\?\s*$)/s

/** Checks one sentence without its code. */
export function checkWords(sentence: string): readonly string[] {
  const begins = beginning.exec(sentence)?.[1]
  return [
    ...(begins === undefined ? [] : [`the sentence begins with "${begins}": name the thing first`]),
    ...[...sentence.matchAll(phrase)].map(([found]) => `"${found}": write ${words[found.toLowerCase()]}`),
  ]
}
