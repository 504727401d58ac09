import { storedDisks, type VirtualMachine } from '../../api/manifest.ts'
import { vcpusOf } from '../../api/vcpus.ts'
import type { VmSpecView } from '../../api/wire/controller-api.ts'

export function specView({ spec }: VirtualMachine): VmSpecView {
  return {
    cores: vcpusOf(spec.cpu),
    memoryBytes: spec.memory,
    disks: storedDisks({ disks: spec.disks }).map(({ name, size, image }) => ({ name, sizeBytes: size, image: image?.source ?? '' })),
    networks: spec.networks.map(networkView),
  }
}

function networkView({ name, bridge, direct }: VirtualMachine['spec']['networks'][number]): VmSpecView['networks'][number] {
  if (direct !== undefined) return { name, bridge: direct.device, kind: 'direct' }
  return bridge === undefined ? { name, bridge: '', kind: 'user' } : { name, bridge }
}
