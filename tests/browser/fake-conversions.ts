import { randomBytes } from 'node:crypto';
import type { ConversionState } from '../../src/domain/conversion.ts';
import { mintFileId } from '../../src/domain/ids.ts';

/** A conversion as `/api/v1` shows it. */
export interface FakeConversion {
  readonly id: string;
  readonly state: ConversionState;
  readonly name: string | null;
  readonly source: { readonly kind: 'upload' | 'url' | 'foreign'; readonly url?: string };
  readonly videoBytes: number | null;
  readonly mp3Fid: string | null;
  readonly mp3Bytes: number | null;
  readonly durationMs: number | null;
  readonly progressPercent: number | null;
  readonly incomplete: boolean;
  readonly failure: { readonly code: string; readonly message: string } | null;
  readonly attempts: number;
  readonly mail: 'none' | 'due' | 'sent' | 'refused';
  readonly createdAt: string;
  readonly updatedAt: string;
  readonly startedAt: string | null;
  readonly endedAt: string | null;
  readonly links: { readonly self: string; readonly mp3: string | null };
}

type Change = Partial<Omit<FakeConversion, 'id' | 'links'>>;

const RUNNING: readonly ConversionState[] = ['uploading', 'fetching', 'queued', 'converting'];

/** Conversions in memory, newest first. */
export class FakeConversions {
  #items: { owner: string; conversion: FakeConversion }[] = [];
  readonly #links = new Map<string, string>();

  add(owner: string, fields: Change = {}): FakeConversion {
    const now = new Date().toISOString();
    const id = mintFileId();
    const conversion: FakeConversion = {
      id,
      state: 'queued',
      name: null,
      source: { kind: 'upload' },
      videoBytes: null,
      mp3Fid: null,
      mp3Bytes: null,
      durationMs: null,
      progressPercent: null,
      incomplete: false,
      failure: null,
      attempts: 0,
      mail: 'none',
      createdAt: now,
      updatedAt: now,
      startedAt: null,
      endedAt: null,
      links: { self: `/api/v1/conversions/${id}`, mp3: null },
    };
    this.#items.unshift({ owner, conversion });
    return this.change(id, fields);
  }

  change(id: string, fields: Change): FakeConversion {
    const item = this.#items.find((entry) => entry.conversion.id === id);
    if (item === undefined) throw new Error(`There is no conversion ${id}.`);
    const changed = { ...item.conversion, ...fields, updatedAt: new Date().toISOString() };
    const mp3 = changed.mp3Fid === null ? null : `/api/v1/conversions/${id}/mp3`;
    item.conversion = { ...changed, links: { ...changed.links, mp3 } };
    return item.conversion;
  }

  /** `ready`, with an MP3 of 20 seconds. */
  finish(id: string, fields: Change = {}): FakeConversion {
    const ended = { endedAt: new Date().toISOString(), progressPercent: 100, mail: 'sent' as const };
    const mp3 = { mp3Fid: mintFileId(), mp3Bytes: 480_000, durationMs: 20_000 };
    return this.change(id, { state: 'ready', ...ended, ...mp3, ...fields });
  }

  fail(id: string, code: string, message: string): FakeConversion {
    return this.change(id, {
      state: 'failed',
      failure: { code, message },
      endedAt: new Date().toISOString(),
    });
  }

  /** As DELETE does: what runs is cancelled, what has ended goes. */
  remove(conversion: FakeConversion): void {
    if (RUNNING.includes(conversion.state)) {
      this.change(conversion.id, { state: 'cancelled', endedAt: new Date().toISOString() });
    } else this.forget(conversion);
  }

  forget({ id }: FakeConversion): void {
    this.#items = this.#items.filter((entry) => entry.conversion.id !== id);
  }

  of(owner: string): FakeConversion[] {
    return this.#items.filter((entry) => entry.owner === owner).map((entry) => entry.conversion);
  }

  find(owner: string, id: string): FakeConversion | undefined {
    return this.of(owner).find((conversion) => conversion.id === id);
  }

  /** The one of this name; throws where there is none. */
  named(owner: string, name: string): FakeConversion {
    const found = this.of(owner).find((conversion) => conversion.name === name);
    if (found === undefined) throw new Error(`There is no conversion called ${name}.`);
    return found;
  }

  page(
    owner: string,
    limit: number,
    cursor: string | null,
  ): { items: FakeConversion[]; nextCursor: string | null } {
    const all = this.of(owner);
    const start = cursor === null ? 0 : all.findIndex((conversion) => conversion.id === cursor) + 1;
    const items = all.slice(start, start + limit);
    const more = start + limit < all.length;
    return { items, nextCursor: more ? (items.at(-1)?.id ?? null) : null };
  }

  link(conversion: FakeConversion): string {
    const token = randomBytes(32).toString('base64url');
    this.#links.set(token, conversion.id);
    return token;
  }

  byLink(token: string): FakeConversion | undefined {
    const id = this.#links.get(token);
    return this.#items.find((entry) => entry.conversion.id === id)?.conversion;
  }
}
