import type { VmUid } from './names.ts'

/** Fixed ids (ADR 0004): files of a state root are owned by number, and images and hosts must agree. */
export const agentUid = 30701
export const runnerUid = 30702
export const sharedGid = 30700

export const layoutVersion = 1
export const defaultStateRoot = '/var/lib/swarmvirt'

/** A UNIX socket path holds 107 bytes and a NUL (unix(7)). */
export const maxSocketPathBytes = 107
const longestSocketSuffix = '/instances/00000000-0000-0000-0000-000000000000/run/control.sock'
/** The longest state root whose sockets can still be bound. */
export const maxStateRootBytes = maxSocketPathBytes - longestSocketSuffix.length

/** Temporary files of `StateFiles.writeAtomically`, as a killed program leaves them. */
export const temporaryName = /\.tmp-[0-9a-f]{12}$/

/** Every path under a state root; `root` is absolute and without a trailing slash. */
export function layout(root: string) {
  const instance = (uid: VmUid): string => `${root}/instances/${uid}`
  return {
    root,
    /** `{version}`; written by install-node, checked by agent and broker. */
    layoutFile: `${root}/layout.json`,
    /** Operators' files; never written, linked or deleted by swarmvirt. */
    images: `${root}/images`,
    isos: `${root}/isos`,
    logs: `${root}/logs`,
    /** Agent's content-addressed images, `<sha256>`, 0440, and `*.partial` while one arrives. */
    store: `${root}/store`,
    storedImage: (sha256: string): string => `${root}/store/${sha256}`,
    /** Agent's own: one file per granted VM, read again at start. */
    grants: `${root}/grants`,
    grantFile: (uid: VmUid): string => `${root}/grants/${uid}.json`,
    instances: `${root}/instances`,
    /** Agent's, 2750; mounted read-write as `/vm` in the runner, where modes keep it from writing outside disks and run. */
    instance,
    identityFile: (uid: VmUid): string => `${instance(uid)}/identity.json`,
    /** Owned by the agent, 0640; see wire/addresses.ts. */
    addressesFile: (uid: VmUid): string => `${instance(uid)}/addresses.json`,
    /** 2750, hard links into the store, 0440; backing files of the overlays. */
    instanceImages: (uid: VmUid): string => `${instance(uid)}/images`,
    /** 2770, `<disk>.qcow2`, 0660. */
    disks: (uid: VmUid): string => `${instance(uid)}/disks`,
    diskFile: (uid: VmUid, disk: string): string => `${instance(uid)}/disks/${disk}.qcow2`,
    /**
     * 2700, the agent's alone: a new disk is made here and gets its name in `disks` when it is complete. It exists only while a disk is made. As deep as
     * `disks`, so that the relative path of a backing file is the same.
     */
    work: (uid: VmUid): string => `${instance(uid)}/work`,
    /** 2770, the runner's: control socket, crash backoff, serial log. */
    run: (uid: VmUid): string => `${instance(uid)}/run`,
    controlSocket: (uid: VmUid): string => `${instance(uid)}/run/control.sock`,
    serialLog: (uid: VmUid): string => `${instance(uid)}/run/serial.log`,
    /** Broker's, 2750: a directory per VM that runners cannot write, mounted read-only as `/broker`; the directory is the identity. */
    sockets: `${root}/sockets`,
    socketDirectory: (uid: VmUid): string => `${root}/sockets/${uid}`,
    brokerSocket: (uid: VmUid): string => `${root}/sockets/${uid}/broker.sock`,
    /** Broker's, 2750, never mounted in a runner. */
    admin: `${root}/admin`,
    adminSocket: `${root}/admin/broker.sock`,
  }
}
export type Layout = ReturnType<typeof layout>

/** Paths as a runner sees them. */
export const inRunner = {
  vm: '/vm',
  disk: (disk: string): string => `/vm/disks/${disk}.qcow2`,
  run: '/vm/run',
  controlSocket: '/vm/run/control.sock',
  identityFile: '/vm/identity.json',
  serialLog: '/vm/run/serial.log',
  brokerSocket: '/broker/broker.sock',
  launchConfig: '/run/swarmvirt/launch.json',
  userDataSecret: '/run/secrets/userdata',
  /** tmpfs; seed, QMP and serial sockets. */
  scratch: '/tmp',
} as const
