import { cdromDrives, storedDisks, type VirtualMachine } from '../../api/manifest.ts'
import { readReplaceDisks } from '../../api/replace-disks.ts'
import type { PrepareOrder } from '../../api/wire/agent-api.ts'
import type { ClusterSettings } from '../../ports/settings.ts'
import { declaredMachine, type Machine, machineMark, needsOf, type NodeNeeds, withFirmware } from '../shared/applied.ts'
import { diskLimits, downNetworks, memoryTargetMiB } from '../shared/live-part.ts'
import type { PlacementRecord } from '../shared/placement-record.ts'
import { runNotes, type RunWish, runWish } from '../shared/run-wish.ts'

/**
 * The order for the node's agent. The agent grants the machine of the current template (`applied`), so that the VM can always restart, and
 * checks the machine of the manifest.
 */
export function prepareOrderFor(
  settings: Pick<ClusterSettings, 'cluster' | 'softwareEmulation'>,
  vm: VirtualMachine,
  record: PlacementRecord,
  applied: Machine | undefined,
  wish: RunWish = runWish(vm, runNotes(undefined, undefined)),
): PrepareOrder {
  const declared = needsOf(declaredMachine(settings.cluster, vm))
  const granted = applied === undefined ? declared : needsOf(applied)
  const isPending = machineMark(granted) !== machineMark(declared)
  const replaceDisks = readReplaceDisks(vm.metadata.annotations)
  const wantsFirmware = (granted.firmware ?? declared.firmware) !== undefined
  return {
    version: wantsFirmware ? 2 : 1,
    uid: record.uid,
    vm: record.vm,
    cluster: settings.cluster,
    disks: storedDisks(vm.spec).map(({ name, size, image, readOnly }) => ({
      name,
      sizeBytes: size,
      ...(image === undefined ? {} : { image: { source: image.source, sha256: image.sha256 ?? null } }),
      ...(readOnly === true ? { readOnly } : {}),
    })),
    disksMustExist: record.disksMade,
    ...(replaceDisks.length === 0 ? {} : { replaceDisks }),
    softwareEmulation: settings.softwareEmulation,
    ...inOrder(granted),
    ...livePartOf(vm),
    ...(wish.policy.strategy === 'Always' ? {} : { run: wish.policy }),
    ...(isPending ? { pending: inOrder(declared) } : {}),
  }
}

function inOrder({ accelerator, nics, networks, firmware }: NodeNeeds) {
  return { accelerator, nics: [...nics], ...(networks === undefined ? {} : { networks: [...networks] }), ...withFirmware(firmware) }
}

/** The part that a running VM takes. Absent if the manifest has nothing of it, as for a VM of release 0.1. */
function livePartOf({ spec }: VirtualMachine): Pick<PrepareOrder, 'live'> {
  const cdroms = cdromDrives(spec).map(({ name, cdrom: { path = null } }) => ({ name, path }))
  const live = {
    ...(cdroms.length === 0 ? {} : { cdroms }),
    down: downNetworks(spec),
    limits: diskLimits(spec),
    memoryTargetMiB: memoryTargetMiB(spec),
  }
  return Object.values(live).every((one) => one === undefined) ? {} : { live }
}
