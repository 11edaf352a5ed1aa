import type { Logger } from '../../src/ports/logger.ts';

/** One entry of a {@link RecordedLog}. */
export interface LogEntry {
  readonly level: keyof Logger;
  readonly fields: Readonly<Record<string, unknown>>;
  readonly message: string;
}

/** A log that prints nothing and remembers everything. */
export function recordedLog(): Logger & { readonly entries: LogEntry[] } {
  const entries: LogEntry[] = [];
  const write =
    (level: keyof Logger): Logger['info'] =>
    (fields, message) => {
      entries.push({ level, fields, message });
    };
  return { debug: write('debug'), info: write('info'), warn: write('warn'), error: write('error'), entries };
}
