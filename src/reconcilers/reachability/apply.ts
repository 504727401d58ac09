/** There is nothing that this reconciler writes. */
export function applyReachability(action: never): Promise<void> {
  return Promise.reject(new TypeError(`reachability writes nothing, not even ${String(action)}`))
}
