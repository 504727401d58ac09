import { storedDisks, type VirtualMachine } from '../../api/manifest.ts'
import type { OrderedLivePart } from '../../api/wire/live-part.ts'

type Spec = VirtualMachine['spec']

/** Each is undefined while nothing differs from the default. */
export function downNetworks({ networks }: Pick<Spec, 'networks'>): string[] | undefined {
  const names = networks.flatMap(({ name, state }) => (state === 'down' ? name : []))
  return names.length === 0 ? undefined : names
}

export function diskLimits(spec: Pick<Spec, 'disks'>): OrderedLivePart['limits'] {
  const limits = storedDisks(spec).flatMap(({ name, limits: { iops, bandwidth } = {} }) =>
    iops === undefined && bandwidth === undefined
      ? []
      : [{ disk: name, ...(iops === undefined ? {} : { iops }), ...(bandwidth === undefined ? {} : { bytes: bandwidth }) }],
  )
  return limits.length === 0 ? undefined : limits
}

export function memoryTargetMiB({ memory, memoryTarget }: Pick<Spec, 'memory' | 'memoryTarget'>): number | undefined {
  return memoryTarget === undefined || memoryTarget >= memory ? undefined : Math.floor(memoryTarget / 1024 ** 2)
}
