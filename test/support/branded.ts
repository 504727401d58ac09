import { type Mac, macField } from '../../src/api/mac.ts'

/** Checked values from literals of a test; each throws for one that its schema refuses. */
export const aMac = (text: string): Mac => macField.parse(text)
