import { sha256Hex } from '../hash.ts'
import type { VirtualMachine } from '../manifest.ts'

/** Replaces secrets by their hashes, which suffice to compare them. */
export function withoutSecrets(vm: VirtualMachine): VirtualMachine {
  const { userData, networkData, ...others } = vm.spec.cloudInit
  if (userData === undefined && networkData === undefined) return vm
  const hashed = {
    ...(userData === undefined ? {} : { userData: hashText(userData) }),
    ...(networkData === undefined ? {} : { networkData: hashText(networkData) }),
  }
  return { ...vm, spec: { ...vm.spec, cloudInit: { ...others, ...hashed } } }
}

function hashText(secret: string): string {
  return `sha256:${sha256Hex(secret)}`
}
