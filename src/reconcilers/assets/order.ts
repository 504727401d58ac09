import type { VirtualMachine } from '../../api/manifest.ts'
import { readReplaceDisks } from '../../api/replace-disks.ts'
import type { PrepareOrder } from '../../api/wire/agent-api.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import { nicsOf } from '../shared/nics.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'

/** What the node's agent is to have ready for a VM. */
export function prepareOrderFor(
  settings: Pick<ClusterSettings, 'cluster' | 'softwareEmulation'>,
  vm: VirtualMachine,
  record: PlacementRecord,
): PrepareOrder {
  const replaceDisks = readReplaceDisks(vm.metadata.annotations)
  return {
    version: 1,
    uid: record.uid,
    vm: record.vm,
    cluster: settings.cluster,
    disks: vm.spec.disks.map(({ name, size, image }) => ({
      name,
      sizeBytes: size,
      image: { source: image.source, sha256: image.sha256 ?? null },
    })),
    disksMustExist: record.disksMade,
    ...(replaceDisks.length === 0 ? {} : { replaceDisks }),
    accelerator: vm.spec.accelerator,
    softwareEmulation: settings.softwareEmulation,
    nics: nicsOf(settings.cluster, vm),
  }
}
