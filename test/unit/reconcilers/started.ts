import type { VirtualMachine } from '../../../src/api/manifest.ts'
import { launchConfig } from '../../../src/api/wire/launch.ts'
import { inputsOf } from '../../../src/reconcilers/services/inputs.ts'
import { renderTemplate } from '../../../src/reconcilers/services/render.ts'
import type { RunningVm, WantedVm } from '../../../src/reconcilers/services/restart-inputs.ts'
import { settings } from '../../simulation/cluster.ts'
import { aUid, aVmName } from '../../support/branded.ts'

/** The manifest of a VM with the disk `root`. */
export function wantedBy(vm: VirtualMachine): WantedVm {
  return { cluster: 'lab', vm, uid: aUid('00000000-0000-4000-8000-000000000001'), disks: ['root'] }
}

/** A service that runs such a manifest. */
export function started(vm: VirtualMachine): RunningVm {
  const inputs = inputsOf(wantedBy(vm))
  const TaskTemplate = renderTemplate({
    vm: aVmName('web'),
    settings,
    apiVersion: '1.41',
    inputs,
    node: 'n',

    forceUpdate: 0,
  })
  const launch = launchConfig.parse(JSON.parse(inputs.launchText))
  return { service: { spec: { TaskTemplate }, labels: {} }, launch, settings }
}
