export async function buildDebian(_recipe: string, _suite: string, _work: string, _qcow2: string): Promise<void> {
  throw new Error('not yet')
}
