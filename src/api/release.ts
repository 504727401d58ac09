/** The release of everything in this checkout. Every program shows it, and none compares it. */
export const release = '0.1.0'
