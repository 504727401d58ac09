import { z } from 'zod'
import type { About, EditEffect } from './about.ts'
import { virtualMachineClassSchema, virtualMachineSchema } from './document.ts'

/** A path such as `spec.networks.*.bridge`, where `*` is any index of a list. */
export type FieldPattern = string

let ofMachine: ReadonlyMap<FieldPattern, About> | undefined
let ofClass: ReadonlyMap<FieldPattern, About> | undefined

/** The documentation of every field of a VirtualMachine, by path. */
export function machineAbout(): ReadonlyMap<FieldPattern, About> {
  ofMachine ??= aboutOf(virtualMachineSchema)
  return ofMachine
}

export function classAbout(): ReadonlyMap<FieldPattern, About> {
  ofClass ??= aboutOf(virtualMachineClassSchema)
  return ofClass
}

/** The effect of an edit at a path: that of the field itself or of its nearest parent. */
export function effectOf(fields: ReadonlyMap<FieldPattern, About>, path: readonly (string | number)[]): EditEffect | undefined {
  for (let length = path.length; length > 0; length -= 1) {
    const about = fields.get(patternOf(path.slice(0, length)))
    const effect = about?.keyEffects?.[String(path[length])] ?? about?.effect
    if (effect !== undefined) return effect
  }
  return undefined
}

export function patternOf(path: readonly (string | number)[]): FieldPattern {
  return path.map((key) => (typeof key === 'number' ? '*' : key)).join('.')
}

function aboutOf(schema: z.ZodType): ReadonlyMap<FieldPattern, About> {
  const found = new Map<FieldPattern, About>()
  visit(schema, '', (path, about) => {
    // The outermost documentation wins, and inner ones add what it lacks.
    found.set(path, { ...about, ...found.get(path) })
  })
  return found
}

function visit(schema: z.core.$ZodType, path: FieldPattern, say: (path: FieldPattern, about: About) => void): void {
  const about = z.globalRegistry.get(schema) as About | undefined
  if (about !== undefined) say(path, about)
  const below = (key: string): FieldPattern => (path === '' ? key : `${path}.${key}`)
  const { def } = (schema as z.core.$ZodTypes)._zod
  switch (def.type) {
    case 'object':
      for (const [key, inner] of Object.entries(def.shape)) visit(inner, below(key), say)
      return
    case 'array':
      return visit(def.element, below('*'), say)
    case 'optional':
    case 'nullable':
    case 'default':
    case 'prefault':
      return visit(def.innerType, path, say)
    case 'pipe':
      return visit(def.in, path, say)
    case 'union':
      for (const option of def.options) visit(option, path, say)
      return
    default:
      return
  }
}
