/** The figures of docs/performance.md, in its order. */
const aims = {
  start: ['manifest written → guest reached, beside the same QEMU started by `docker run`', '≤ 1.0 s beyond'],
  edit: ['edit → service event', 'median ≤ 20 ms, p99 ≤ 100 ms beyond the debounce'],
  create: ['half of the VMs created at once, beside `docker stack deploy` of the same services', '≤ 1.2 ×'],
  removed: ['service removed by hand → back', 'p99 ≤ 50 ms with events, the resync period without'],
  idle: ['idle', '≤ 1 % of a core, 0 writes, 3 GETs a resync'],
  memory: ['controller’s memory (PSS)', '≤ 60 MiB above its idle floor; floor ≤ 40 MiB'],
  'first-pass': ['process start → first complete pass', '≤ 1.2 s'],
  storm: ['storm, 3,000 edits a second for 10 s', '≤ 1.02 writes per VM and final state, event-loop delay p99 ≤ 50 ms'],
  'vm-memory': ['a VM’s memory (PSS) beyond bare QEMU, four VMs, agent and broker shared', '≤ 28 MiB'],
} as const

export type FigureName = keyof typeof aims
export const figureNames = Object.keys(aims).filter(isFigure)

export function isFigure(name: string): name is FigureName {
  return Object.hasOwn(aims, name)
}

export interface Figure {
  /** With the unit, and the baseline of the same run. */
  readonly measured: string
  readonly isMet: boolean
}
export type Figures = Readonly<Partial<Record<FigureName, Figure>>>

/** A Markdown table. */
export function tableOf(figures: Figures): string {
  const rows = figureNames.flatMap((name) => {
    const figure = figures[name]
    return figure === undefined ? [] : [[...aims[name], figure.measured, figure.isMet ? 'met' : '**missed**']]
  })
  return [['', 'aim', 'measured', ''], ['---', '---', '---', '---'], ...rows].map((cells) => `| ${cells.join(' | ')} |\n`).join('')
}

export function median(values: readonly number[]): number {
  return quantile(values, 0.5)
}

/** Nearest rank. */
export function quantile(values: readonly number[], share: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  return sorted[Math.min(sorted.length - 1, Math.max(0, Math.ceil(share * sorted.length) - 1))] ?? Number.NaN
}
