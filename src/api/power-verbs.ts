/** `docker vm start …`: actions on one VM that its manifest does not hold. */
export const powerVerbs = ['start', 'stop', 'restart', 'pause', 'unpause', 'reset'] as const
export type PowerVerb = (typeof powerVerbs)[number]
