import type { OwnedVm } from '../../../src/controller/declarations/state.ts'
import { type DeclarationStore, declarationStore } from '../../../src/controller/declarations/store.ts'
import { aVmName } from '../../support/branded.ts'

/** A store that takes the plain names of a test. */
export function aStore(...given: Parameters<typeof declarationStore>) {
  const store = declarationStore(...given)
  return {
    ...store,
    get: (vm: string) => store.get(aVmName(vm)),
    isNowhere: (vm: string) => store.isNowhere(aVmName(vm)),
    valid: (vm: string) => store.valid(aVmName(vm)),
    forget: (vm: string) => store.forget(aVmName(vm)),
    confirmRemoval: (vms: readonly string[]) => store.confirmRemoval(vms.map(aVmName)),
    setOwnedVms: (vms: ReadonlyMap<string, OwnedVm>) => store.setOwnedVms(new Map([...vms].map(([vm, owned]) => [aVmName(vm), owned]))),
  } satisfies DeclarationStore
}

export type TestStore = ReturnType<typeof aStore>
