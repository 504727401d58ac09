/** Verbs that people know from docker, kubectl or virsh: what `docker vm` has in their place. */
const pointers: Readonly<Record<string, (vm: string) => string>> = {
  logs: (vm) => `the console of the guest is the log of its service: docker service logs vm-${vm}`,
  console: (vm) => `there is no interactive console yet; its output is: docker service logs vm-${vm}`,
  ssh: (vm) => `log in by the address of the VM: docker vm ls --format '{{.Address}}' ${vm}`,
  exec: (vm) => `log in by the address of the VM: docker vm ls --format '{{.Address}}' ${vm}`,
  start: (vm) => `write "runStrategy: Always" into the manifest of ${vm} and apply it`,
  stop: (vm) => `write "runStrategy: Halted" into the manifest of ${vm} and apply it; its disks stay`,
  restart: (vm) => `restart its service: docker service update --force vm-${vm}`,
  inspect: (vm) => `use: docker vm get -o json ${vm}`,
  ps: () => 'use: docker vm ls',
  list: () => 'use: docker vm ls',
  rm: (vm) => `use: docker vm delete ${vm}, or remove its manifest`,
  run: (vm) => `write a manifest and apply it: docker vm create ${vm} > ${vm}.yaml; docker vm apply -f ${vm}.yaml`,
  edit: (vm) => `edit the manifest of ${vm} where it is kept; docker vm diff ${vm} shows what is not applied yet`,
}

/** Undefined for every other verb. */
export function pointerFor(verb: string, name: string | undefined): string | undefined {
  if (!Object.hasOwn(pointers, verb)) return undefined
  const vm = name === undefined || name.startsWith('-') ? 'NAME' : name
  return `there is no "docker vm ${verb}"; ${pointers[verb]?.(vm)}`
}
