import type { VirtualMachineClass } from '../manifest.ts'
import { byText } from '../order.ts'
import type { ClassDocument, InvalidDocument, NoClass, Origin, ReadDocument, SourceDocument, SourceSnapshot } from './source-documents.ts'

/** A snapshot whose VMs are merged with their classes. Invalid classes stay among the documents, with `isClass`. */
export interface ResolvedSnapshot extends Omit<SourceSnapshot, 'documents'> {
  readonly documents: readonly SourceDocument[]
  /** The number of valid classes in it. */
  readonly classes?: number
}

/** Merges the classes of all sources into their VMs. The first of duplicate classes counts, by source, file and line. */
export function resolveClasses(snapshots: readonly SourceSnapshot[]): readonly ResolvedSnapshot[] {
  const all = snapshots.flatMap((snapshot) => snapshot.documents).toSorted(byOrigin)
  const classes = new Map<string, ClassDocument>()
  for (const one of all) if (isClass(one) && !classes.has(one.class.name)) classes.set(one.class.name, one)
  const broken = new Map(all.flatMap((one) => (isBrokenClass(one) && one.name !== undefined ? [[one.name, one] as const] : [])))
  const find = (name: string): VirtualMachineClass | NoClass =>
    classes.get(name)?.class ?? noClass(name, [...classes.keys()], broken.get(name))
  return snapshots.map((snapshot) => {
    const held = snapshot.documents.filter(isClass)
    const twice = held.flatMap((one) => secondClass(one, classes.get(one.class.name)))
    const documents = snapshot.documents.flatMap((one) => (isClass(one) ? [] : [resolve(one, find)]))
    return { ...snapshot, documents: [...documents, ...twice], classes: held.length - twice.length }
  })
}

type Find = (className: string) => VirtualMachineClass | NoClass

function resolve(document: Exclude<ReadDocument, ClassDocument>, find: Find): SourceDocument {
  if ('vm' in document) return document
  const { standIn, ...rest } = document
  const own = rest.ok ? rest.complete(find(rest.className)) : rest
  if (own.ok || standIn === undefined) return own
  const behind = resolve(standIn, find)
  const good = behind.ok ? behind : behind.standIn
  return good === undefined ? own : { ...own, standIn: good }
}

function isClass(document: ReadDocument): document is ClassDocument {
  return document.ok && 'class' in document
}

function isBrokenClass(document: ReadDocument): document is InvalidDocument {
  return !document.ok && document.isClass === true
}

function noClass(name: string, names: readonly string[], broken: InvalidDocument | undefined): NoClass {
  if (broken !== undefined) {
    return { missing: `the VirtualMachineClass "${name}" has errors (${broken.origin.file}:${broken.origin.line})`, help: 'fix the class' }
  }
  const there = names.length === 0 ? 'there are no classes' : `there are ${names.toSorted(byText).slice(0, 20).join(', ')}`
  return { missing: `there is no VirtualMachineClass "${name}"`, help: `add it to the manifests; ${there}` }
}

function secondClass(one: ClassDocument, first: ClassDocument | undefined): InvalidDocument[] {
  if (first === undefined || first === one) return []
  const { file, line } = one.origin
  const message = `class "${one.class.name}" is declared twice; ${first.origin.file}:${first.origin.line} counts`
  const help = 'give this one another name or delete one of the two'
  const rendered = `error[VM030]: ${message}\n --> ${file}:${line}:1\nhelp: ${help}`
  const issue = { code: 'VM030', path: ['metadata', 'name'], message, help, file, line, column: 1, rendered }
  return [{ ok: false, origin: one.origin, name: one.class.name, isClass: true, issues: [issue] }]
}

function byOrigin({ origin: a }: { readonly origin: Origin }, { origin: b }: { readonly origin: Origin }): number {
  return byText(a.source, b.source) || byText(a.file, b.file) || a.line - b.line
}
