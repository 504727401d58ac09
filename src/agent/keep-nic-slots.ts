import type { Layout } from '../api/layout.ts'
import type { PrepareOrder } from '../api/wire/agent-api.ts'
import { assignSlots, nicSlotsFile } from '../api/wire/nic-slots.ts'
import { StateError, type StateFiles } from '../ports/state-files.ts'

const maxFileBytes = 4 * 1024

/** Records a PCI slot for each network of the order that has none yet, unless the VM's directory is lost. Throws StateError. */
export async function keepNicSlots(
  { files, layout }: { readonly files: Pick<StateFiles, 'stat' | 'readText' | 'writeAtomically'>; readonly layout: Layout },
  { uid, nics, networks }: Pick<PrepareOrder, 'uid' | 'nics' | 'networks'>,
): Promise<void> {
  if ((await files.stat(layout.instance(uid))) === undefined) return
  const path = layout.nicSlotsFile(uid)
  const text = await files.readText(path, maxFileBytes)
  const kept = text === undefined ? [] : slotsIn(path, text)
  const names = networks ?? nics.map(({ name }) => name)
  const slots = assignSlots(kept, names)
  if (slots === kept) return
  await files.writeAtomically(path, `${JSON.stringify({ version: 1, slots })}\n`, 0o440)
}

/** Fails instead of starting over: other slots would rename the guest's interfaces. */
function slotsIn(path: string, text: string) {
  try {
    return nicSlotsFile.parse(JSON.parse(text)).slots
  } catch (cause) {
    throw new StateError('Content', `${path} is not valid; remove it to give the networks new PCI slots`, { cause })
  }
}
