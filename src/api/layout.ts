import type { VmUid } from './names.ts'

/** Fixed ids (ADR 0004): the files of a state root are owned by number, and images and hosts must agree. */
export const agentUid = 30701
export const runnerUid = 30702
export const sharedGid = 30700

export const layoutVersion = 1
export const defaultStateRoot = '/var/lib/swarmvirt'

/** A UNIX socket path holds 107 bytes and a NUL (unix(7)). */
export const maxSocketPathBytes = 107
const longestSocketSuffix = '/instances/00000000-0000-0000-0000-000000000000/run/control.sock'
/** The longest state root whose sockets can be bound. */
export const maxStateRootBytes = maxSocketPathBytes - longestSocketSuffix.length

/** Temporary files of `StateFiles.writeAtomically` that a killed program left. */
export const temporaryName = /\.tmp-[0-9a-f]{12}$/

/** Every path under a state root; `root` is absolute and without a trailing slash. */
export function layout(root: string) {
  const instance = (uid: VmUid): string => `${root}/instances/${uid}`
  return {
    root,
    /** Contains `{version}`. Written by install-node, checked by agent and broker. */
    layoutFile: `${root}/layout.json`,
    /** Files of operators. swarmvirt never writes, links or deletes them. */
    images: `${root}/images`,
    isos: `${root}/isos`,
    logs: `${root}/logs`,
    /** The agent's content-addressed images: `<sha256>`, 0440, and `*.partial` during a download. */
    store: `${root}/store`,
    storedImage: (sha256: string): string => `${root}/store/${sha256}`,
    /** The agent's own: one file per granted VM, read again at start. */
    grants: `${root}/grants`,
    grantFile: (uid: VmUid): string => `${root}/grants/${uid}.json`,
    instances: `${root}/instances`,
    /** The agent's, 2750. Mounted read-write as `/vm` in the runner; the modes only allow it to write in disks and run. */
    instance,
    identityFile: (uid: VmUid): string => `${instance(uid)}/identity.json`,
    /** The identity while disks are made or replaced: it becomes `identity.json` at the end. */
    identityDraft: (uid: VmUid): string => `${instance(uid)}/identity.json.draft`,
    /** Owned by the agent, 0640; see wire/addresses.ts. */
    addressesFile: (uid: VmUid): string => `${instance(uid)}/addresses.json`,
    /** Owned by the agent, 0440; see wire/nic-slots.ts. */
    nicSlotsFile: (uid: VmUid): string => `${instance(uid)}/nic-slots.json`,
    /** Owned by the agent, 0440; see wire/run-policy.ts. */
    runPolicyFile: (uid: VmUid): string => `${instance(uid)}/run-policy.json`,
    /** 2750. Hard links into the store, 0440; the backing files of the overlays. */
    instanceImages: (uid: VmUid): string => `${instance(uid)}/images`,
    /** 2750. Hard links into the store, 0440, named by their SHA-256: the discs of the CD-ROM drives. */
    instanceIsos: (uid: VmUid): string => `${instance(uid)}/isos`,
    /** Owned by the agent, 0440; see wire/live-part.ts. */
    livePartFile: (uid: VmUid): string => `${instance(uid)}/live.json`,
    /** 2770, `<disk>.qcow2`, 0660. */
    disks: (uid: VmUid): string => `${instance(uid)}/disks`,
    diskFile: (uid: VmUid, disk: string): string => `${instance(uid)}/disks/${disk}.qcow2`,
    /**
     * 2700, the agent's own. A new disk is created here and gets its name in `disks` once it is complete. The directory exists only during
     * that time. It is as deep as `disks`, so that the relative path of a backing file is the same.
     */
    work: (uid: VmUid): string => `${instance(uid)}/work`,
    /** Owned by the agent, 0440; see wire/boot-files.ts. */
    bootFilesFile: (uid: VmUid): string => `${instance(uid)}/boot-files.json`,
    /** 2770, the runner's: UEFI variables and the TPM's state. Exists for a VM that has, or had, one of them. */
    firmware: (uid: VmUid): string => `${instance(uid)}/firmware`,
    /** 2770, the runner's: control socket, crash backoff, serial log. */
    run: (uid: VmUid): string => `${instance(uid)}/run`,
    controlSocket: (uid: VmUid): string => `${instance(uid)}/run/control.sock`,
    serialLog: (uid: VmUid): string => `${instance(uid)}/run/serial.log`,
    /**
     * The broker's, 2750: one directory per VM that runners cannot write, mounted read-only as `/broker`. The directory identifies the VM.
     */
    sockets: `${root}/sockets`,
    socketDirectory: (uid: VmUid): string => `${root}/sockets/${uid}`,
    brokerSocket: (uid: VmUid): string => `${root}/sockets/${uid}/broker.sock`,
    /** The broker's, 2750, never mounted in a runner. */
    admin: `${root}/admin`,
    adminSocket: `${root}/admin/broker.sock`,
  }
}
export type Layout = ReturnType<typeof layout>

/** The paths in a runner's container. */
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
  networkDataSecret: '/run/secrets/networkdata',
  /** A tmpfs with the seed image, QMP socket and serial socket. */
  scratch: '/tmp',
} as const
