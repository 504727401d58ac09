/** Docker keeps no record of who changed an object: it was not swarmvirt, and nothing more is known. */
export const somebodyElse = 'somebody other than swarmvirt'
