/** The `docker` command of the operator's machine, with the operator's own context. */
export interface DockerCli {
  /** Runs with an argument array; resolves with stdout, throws PortError with stderr. `input` goes to stdin (secrets never stand in arguments). */
  run(args: readonly string[], input?: string): Promise<string>
}
