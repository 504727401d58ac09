import { sha256Hex } from '../hash.ts'
import type { VirtualMachine } from '../manifest.ts'

/** Replaces secrets by their hashes, which suffice to compare them. */
export function withoutSecrets(vm: VirtualMachine): VirtualMachine {
  const { userData } = vm.spec.cloudInit
  if (userData === undefined) return vm
  return { ...vm, spec: { ...vm.spec, cloudInit: { ...vm.spec.cloudInit, userData: `sha256:${sha256Hex(userData)}` } } }
}
