/** A program that keeps secrets for Docker (`docker-credential-NAME`). Throws PortError where it cannot be started or refuses. */
export interface CredentialHelper {
  store(url: string, secret: string): Promise<void>
  /** Undefined where it holds none. */
  get(url: string): Promise<string | undefined>
  /** Also where it holds none. */
  erase(url: string): Promise<void>
}
