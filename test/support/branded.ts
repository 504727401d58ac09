import { type Mac, macField } from '../../src/api/mac.ts'
import { type NodeId, nodeIdField, uidField, type VmUid } from '../../src/api/names.ts'

/** Checked values from literals of a test; each throws for one that its schema refuses. */
export const aMac = (text: string): Mac => macField.parse(text)
export const aUid = (text: string): VmUid => uidField.parse(text)
export const aNodeId = (text: string): NodeId => nodeIdField.parse(text)
