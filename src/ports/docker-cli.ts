/** The `docker` command on the operator's machine, with the operator's context. */
export interface DockerCli {
  /**
   * Runs with an argument array. Resolves with stdout, throws PortError with stderr. `input` is sent to stdin, because arguments must not
   * contain secrets.
   */
  run(args: readonly string[], input?: string): Promise<string>
}
