import type { Announcement, Conversion } from '../domain/conversion.ts';
import { hasCode } from '../domain/errors.ts';
import type { Logger } from '../ports/logger.ts';
import { notePublished, publishOwed, type Announcer } from './announce.ts';

export interface Patience {
  /** How long one announcement waits for the broker. */
  readonly deadlineMs: number;
  /** How long a broker that did not take one is left alone; then one tries, and the others follow when it was heard. */
  readonly awayMs: number;
}

const PATIENCE: Patience = { deadlineMs: 2_000, awayMs: 5_000 };

/** The most notes that may be under way; whoever comes then waits for his own. */
const MAX_NOTES = 32;

/**
 * Announces for those who can't wait: while the broker is known to be away an announcement is left to the sweeper at
 * once. That it went out is noted in the record a moment later; a crash in between has it published twice, which is
 * harmless.
 */
export class PatientAnnouncer {
  readonly #to: Announcer;
  readonly #log: Logger;
  readonly #patience: Patience;
  readonly #notes = new Set<Promise<void>>();
  /** Until when nobody tries; undefined while the broker answers. */
  #awayUntil: number | undefined;

  constructor(to: Announcer, log: Logger, patience: Patience = PATIENCE) {
    this.#to = to;
    this.#log = log;
    this.#patience = patience;
  }

  /** Never rejects: where the broker does not take it, the record goes on owing it and the sweeper publishes it later. */
  async announceOrLeave(
    conversion: Conversion,
    announcement: Announcement,
    stopping?: AbortSignal,
  ): Promise<void> {
    const { deadlineMs, awayMs } = this.#patience;
    if (this.#awayUntil !== undefined) {
      if (Date.now() < this.#awayUntil) return;
      // This one tries; the others leave theirs until it knows.
      this.#awayUntil = Date.now() + deadlineMs + awayMs;
    }
    const signals = [AbortSignal.timeout(deadlineMs), ...(stopping === undefined ? [] : [stopping])];
    try {
      await publishOwed(this.#to, conversion, announcement, AbortSignal.any(signals));
    } catch (error) {
      const isBrokersFault = stopping?.aborted !== true && !hasCode(error, 'broker.malformed-message');
      if (isBrokersFault) this.#awayUntil = Date.now() + awayMs;
      const { id: conversionId } = conversion;
      this.#log.warn({ err: error, conversionId, announcement }, 'announcement left to the sweeper');
      return;
    }
    this.#awayUntil = undefined;
    const note = this.#note(conversion, announcement);
    if (this.#notes.size > MAX_NOTES) await note;
  }

  /** Resolves when all that went out is noted, or could not be. */
  async settled(): Promise<void> {
    await Promise.all(this.#notes);
  }

  #note(conversion: Conversion, announcement: Announcement): Promise<void> {
    const note = notePublished(this.#to, conversion, announcement)
      .catch((error: unknown) => {
        this.#log.warn(
          { err: error, conversionId: conversion.id, announcement },
          'announcement goes out twice',
        );
      })
      .finally(() => this.#notes.delete(note));
    this.#notes.add(note);
    return note;
  }
}
