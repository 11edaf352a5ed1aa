/** A role that runs. */
export interface RunningRole {
  /** Where it listens, where it does: `http://127.0.0.1:8080`. */
  readonly url?: string;
  /** Takes no more work, finishes or hands back what runs within about `graceMs`, and lets go. */
  stop(graceMs: number): Promise<void>;
}

/** What one dependency says of itself. */
export interface Check {
  readonly name: string;
  readonly ok: boolean;
  /** Why not; no secrets. */
  readonly message?: string;
}

/** The readiness of the whole process: ready only where every check is. */
export type Readiness = () => Promise<{ readonly ready: boolean; readonly checks: readonly Check[] }>;
