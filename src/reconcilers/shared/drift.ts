/** Docker does not record who changed an object; all we know is that it was not swarmvirt. */
export const somebodyElse = 'somebody other than swarmvirt'
