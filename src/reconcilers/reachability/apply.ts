/** This reconciler is read-only. */
export function applyReachability(action: never): Promise<void> {
  return Promise.reject(new TypeError(`reachability has no actions, got ${String(action)}`))
}
