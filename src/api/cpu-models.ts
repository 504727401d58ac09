/** The x86 models of QEMU 10.0 (`qemu-system-x86_64 -cpu help`), by their number of versions: a model with 2 has `-v1` and `-v2` as well. */
const models: Readonly<Record<number, string>> = {
  0: 'Broadwell-IBRS Broadwell-noTSX Broadwell-noTSX-IBRS Cascadelake-Server-noTSX EPYC-IBPB Haswell-IBRS Haswell-noTSX Haswell-noTSX-IBRS Icelake-Server-noTSX IvyBridge-IBRS Nehalem-IBRS SandyBridge-IBRS Skylake-Client-IBRS Skylake-Client-noTSX-IBRS Skylake-Server-IBRS Skylake-Server-noTSX-IBRS Westmere-IBRS',
  1: '486 ClearwaterForest Conroe EPYC-Genoa KnightsMill Opteron_G1 Opteron_G2 Opteron_G3 Opteron_G4 Opteron_G5 Penryn athlon core2duo coreduo kvm32 kvm64 n270 pentium pentium2 pentium3 phenom qemu32 qemu64',
  2: 'Cooperlake Dhyana EPYC-Milan GraniteRapids IvyBridge Nehalem SandyBridge SierraForest Westmere YongFeng',
  3: 'Denverton SapphireRapids',
  4: 'Broadwell EPYC EPYC-Rome Haswell Skylake-Client Snowridge',
  5: 'Cascadelake-Server Skylake-Server',
  7: 'Icelake-Server',
}

function patternsOf([versions, names]: [string, string]): string[] {
  const version = versions === '0' ? '' : `(-v[1-${versions}])?`
  return names.split(' ').map((name) => `${name}${version}`)
}

/** `host`, `max`, and every model that the runner's QEMU knows. test/e2e/machine.e2e.test.ts compares the list with QEMU. */
export const cpuModelPattern = new RegExp(`^(host|max|${Object.entries(models).flatMap(patternsOf).join('|')})$`)

/** For suggestions: every model without its versions. */
export const cpuModels: readonly string[] = ['host', 'max', ...Object.values(models).flatMap((names) => names.split(' '))]
