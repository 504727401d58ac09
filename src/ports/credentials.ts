/** A program that stores secrets for Docker (`docker-credential-NAME`). Throws PortError if it cannot be started or fails. */
export interface CredentialHelper {
  store(url: string, secret: string): Promise<void>
  /** Undefined if it has none. */
  get(url: string): Promise<string | undefined>
  /** Also succeeds if it has none. */
  erase(url: string): Promise<void>
}
