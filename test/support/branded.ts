import { type Mac, macField } from '../../src/api/mac.ts'
import {
  type NodeId,
  nodeIdField,
  recordPrefix,
  servicePrefix,
  uidField,
  type VmName,
  vmNameField,
  type VmUid,
} from '../../src/api/names.ts'

/** Checked values from literals of a test; each throws for one that its schema refuses. */
export const aMac = (text: string): Mac => macField.parse(text)
export const aVmName = (text: string): VmName => vmNameField.parse(text)
export const aUid = (text: string): VmUid => uidField.parse(text)
export const aNodeId = (text: string): NodeId => nodeIdField.parse(text)

/** The names of a VM's service and placement record. Unchecked: a judge also asks for names that no VM can have. */
export const serviceOf = (vm: string): string => `${servicePrefix}${vm}`
export const recordOf = (vm: string): string => `${recordPrefix}${vm}`
