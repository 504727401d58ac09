/** Modes of a macvtap (macvtap(8)). `passthru` is none of them: it ignores the VM's MAC, and takes the whole device. */
export const directModes = ['bridge', 'vepa', 'private'] as const
export type DirectMode = (typeof directModes)[number]
