import type { Firmware } from './wire/common.ts'

/** A node's abilities beyond release 0.1. The agent reports those of its image. */
export const nodeFeatures = ['uefi', 'secureBoot', 'tpm', 'kernel'] as const
export type NodeFeature = (typeof nodeFeatures)[number]

/** The features that a VM needs. */
export function featuresOf(firmware: Firmware | undefined): readonly NodeFeature[] {
  if (firmware === undefined) return []
  const { mode, secureBoot, tpm, kernel } = firmware
  const needs = { uefi: mode === 'uefi', secureBoot: secureBoot === true, tpm: tpm === true, kernel: kernel !== undefined }
  return nodeFeatures.filter((feature) => needs[feature])
}
