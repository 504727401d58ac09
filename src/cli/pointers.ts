/** Verbs from docker, kubectl or virsh, with the `docker vm` command for each. */
const pointers: Readonly<Record<string, (vm: string) => string>> = {
  logs: (vm) => `the console of the guest is in the log of its service: docker service logs vm-${vm}`,
  console: (vm) => `there is no interactive console yet; read its output with: docker service logs vm-${vm}`,
  ssh: (vm) => `log in at the address of the VM: docker vm ls --format '{{.Address}}' ${vm}`,
  exec: (vm) => `log in at the address of the VM: docker vm ls --format '{{.Address}}' ${vm}`,
  inspect: (vm) => `use: docker vm get -o json ${vm}`,
  ps: () => 'use: docker vm ls',
  list: () => 'use: docker vm ls',
  rm: (vm) => `use: docker vm delete ${vm}, or remove its manifest`,
  run: (vm) => `write a manifest and apply it: docker vm create ${vm} > ${vm}.yaml; docker vm apply -f ${vm}.yaml`,
  edit: (vm) => `edit the manifest of ${vm} in its source; docker vm diff ${vm} shows edits that are not applied yet`,
}

/** Undefined for every other verb. */
export function pointerFor(verb: string, name: string | undefined): string | undefined {
  if (!Object.hasOwn(pointers, verb)) return undefined
  const vm = name === undefined || name.startsWith('-') ? 'NAME' : name
  return `no such command: docker vm ${verb}; ${pointers[verb]?.(vm)}`
}
