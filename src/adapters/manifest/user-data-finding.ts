/** User data that cloud-init would ignore. An error if certainly nothing of it works, a warning otherwise. */
export interface UserDataFinding {
  readonly severity: 'error' | 'warning'
  readonly message: string
  readonly help: string
  /** Offsets in the user data. */
  readonly from: number
  readonly to: number
}
