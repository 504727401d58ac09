/** The kinds of drift. A VM's launch config and secret cannot be lost while its service refers to them. */
export const driftKinds = ['placement_record', 'service', 'service_labels', 'replicas', 'update_policy', 'template'] as const
export type DriftKind = (typeof driftKinds)[number]
