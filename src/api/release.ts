/** The release of everything in this checkout; shown by every program, compared by none. */
export const release = '0.1.0'
