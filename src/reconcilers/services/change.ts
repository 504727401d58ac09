export type Path = readonly (string | number)[]
export type Change = readonly [path: Path, from: string | undefined, to: string | undefined]
type Shown = string | number | boolean | undefined
export type Entry = Readonly<Record<string, Shown>>

export function shown(path: Path, from: Shown, to: Shown): readonly Change[] {
  return from === to ? [] : [[path, from?.toString(), to?.toString()]]
}
