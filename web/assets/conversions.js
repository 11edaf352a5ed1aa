/** @import { Api, Conversion, ConversionPage } from './api.js' */
import { ApiError } from './api.js';
import { announce, byId } from './dom.js';
import { ConversionRow, isRunning } from './conversion-row.js';
import { titleOf } from './format.js';

const PAGE = 20;
const BUSY_MS = 1000;
const IDLE_MS = 5000;

/**
 * The list after a poll of its first page. What was loaded below that page stays, unless more than a page is new:
 * then nobody knows what lies between, and "Show more" loads it again.
 * @param {ConversionPage} known
 * @param {ConversionPage} head
 * @returns {ConversionPage}
 */
export function mergeHead(known, head) {
  const last = head.items.at(-1);
  if (last === undefined || head.nextCursor === null) return head;
  const at = known.items.findIndex((item) => item.id === last.id);
  const fresh = new Set(head.items.map((item) => item.id));
  const tail = at < 0 ? [] : known.items.slice(at + 1).filter((item) => !fresh.has(item.id));
  if (tail.length === 0) return head;
  return { items: [...head.items, ...tail], nextCursor: known.nextCursor };
}

/** The user's conversions, kept up to date while the page is seen. */
export class Conversions {
  #api;
  #events;
  #list = byId('conversions', HTMLUListElement);
  #more = byId('more', HTMLButtonElement);
  /** @type {ConversionPage} */
  #page = { items: [], nextCursor: null };
  /** @type {Map<string, ConversionRow>} */
  #rows = new Map();
  #loaded = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #closing = new AbortController();
  #polling = new AbortController();

  /**
   * @param {Api} api
   * @param {{ travelling: () => string[], onChange: () => void, onTrouble: (sentence: string) => void }} events
   *   `travelling`: names of files whose rows stand among the uploads; `onTrouble` with '' when all is well again
   */
  constructor(api, events) {
    this.#api = api;
    this.#events = events;
    const { signal } = this.#closing;
    this.#more.addEventListener('click', () => void this.#showMore(), { signal });
    document.addEventListener('visibilitychange', () => this.#wake(), { signal });
    this.#wake();
  }

  /** True once the list is known to be empty. */
  get isEmpty() {
    return this.#loaded && this.#rows.size === 0;
  }

  /** @param {Conversion} conversion  one that was just made */
  add(conversion) {
    const others = this.#page.items.filter((item) => item.id !== conversion.id);
    this.#show({ ...this.#page, items: [conversion, ...others] });
    this.#wake();
  }

  close() {
    this.#closing.abort();
    this.#polling.abort();
    clearTimeout(this.#timer);
    for (const row of this.#rows.values()) row.close();
    this.#list.replaceChildren();
    this.#more.hidden = true;
  }

  /** Polls now, and then on and on; not while the page is hidden. An older poll's answer counts no more. */
  #wake() {
    clearTimeout(this.#timer);
    this.#polling.abort();
    if (document.hidden || this.#closing.signal.aborted) return;
    this.#polling = new AbortController();
    void this.#poll(this.#polling.signal);
  }

  /** @param {AbortSignal} signal */
  async #poll(signal) {
    try {
      const head = await this.#api.conversions(PAGE, null, signal);
      const refreshed = await this.#refreshBelow(head, signal);
      signal.throwIfAborted();
      // Merged only now, with nothing to wait for in between: "Show more" may have grown the list meanwhile.
      const { items, nextCursor } = mergeHead(this.#page, head);
      const current = items.map((item) => (refreshed.has(item.id) ? refreshed.get(item.id) : item));
      this.#loaded = true;
      this.#events.onTrouble('');
      this.#show({ items: current.filter((item) => item !== undefined), nextCursor });
    } catch (error) {
      if (signal.aborted) return;
      this.#complain(error);
    }
    const busy = this.#page.items.some(isRunning);
    this.#timer = setTimeout(() => this.#wake(), busy ? BUSY_MS : IDLE_MS);
  }

  /**
   * What runs below the first page is asked for one by one; undefined for what is gone.
   * @param {ConversionPage} head
   * @param {AbortSignal} signal
   */
  async #refreshBelow(head, signal) {
    /** @type {Map<string, Conversion | undefined>} */
    const refreshed = new Map();
    const fresh = new Set(head.items.map((item) => item.id));
    const below = this.#page.items.filter((item) => isRunning(item) && !fresh.has(item.id));
    const ask = async (/** @type {string} */ id) => {
      try {
        refreshed.set(id, await this.#api.conversion(id, signal));
      } catch (error) {
        if (!(error instanceof ApiError && error.status === 404)) throw error;
        refreshed.set(id, undefined);
      }
    };
    await Promise.all(below.map((item) => ask(item.id)));
    return refreshed;
  }

  async #showMore() {
    const { nextCursor } = this.#page;
    if (nextCursor === null) return;
    this.#more.disabled = true;
    const before = this.#list.childElementCount;
    try {
      const next = await this.#api.conversions(PAGE, nextCursor, this.#closing.signal);
      const known = new Set(this.#page.items.map((item) => item.id));
      const items = [...this.#page.items, ...next.items.filter((item) => !known.has(item.id))];
      this.#show({ items, nextCursor: next.nextCursor });
      this.#list.children[before]?.querySelector('button')?.focus();
    } catch (error) {
      this.#complain(error);
    } finally {
      this.#more.disabled = false;
    }
  }

  /** @param {unknown} error */
  #complain(error) {
    if (this.#closing.signal.aborted) return;
    if (!(error instanceof ApiError)) throw error;
    this.#events.onTrouble(`${error.message} Trying again…`);
  }

  /** @param {ConversionPage} page */
  #show(page) {
    this.#page = page;
    const travelling = this.#events.travelling();
    const items = page.items.filter((item) => {
      const at = item.state === 'uploading' ? travelling.indexOf(item.name ?? '') : -1;
      if (at >= 0) travelling.splice(at, 1);
      return at < 0;
    });
    const wanted = new Set(items.map((item) => item.id));
    for (const id of this.#rows.keys()) if (!wanted.has(id)) this.#drop(id);
    let place = this.#list.firstElementChild;
    for (const item of items) {
      const { element } = this.#place(item);
      // Rows that stand right are not moved: moving one would stop its sound and lose the focus.
      if (element === place) place = place.nextElementSibling;
      else this.#list.insertBefore(element, place);
    }
    this.#more.hidden = page.nextCursor === null;
    this.#events.onChange();
  }

  /** @param {Conversion} item */
  #place(item) {
    const known = this.#rows.get(item.id);
    if (known !== undefined) {
      this.#tell(known.conversion, item);
      known.update(item);
      return known;
    }
    const row = new ConversionRow(this.#api, item, { onRemove: (conversion) => this.#remove(conversion) });
    this.#rows.set(item.id, row);
    return row;
  }

  /** @param {string} id */
  #drop(id) {
    const row = this.#rows.get(id);
    if (row === undefined) return;
    const hadFocus = row.element.contains(document.activeElement);
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    this.#rows.delete(id);
    row.close();
    row.element.remove();
    if (!hadFocus) return;
    const heir = next?.querySelector('button:not([hidden])');
    (heir instanceof HTMLElement ? heir : byId('conversions-title', HTMLElement)).focus();
  }

  /** @param {Conversion} conversion */
  async #remove(conversion) {
    try {
      await this.#api.remove(conversion.id);
    } catch (error) {
      // Gone already, from another window: as wished.
      if (!(error instanceof ApiError && error.status === 404)) throw error;
    }
    const running = isRunning(conversion);
    announce(`${titleOf(conversion)}: ${running ? 'cancelled' : 'deleted'}.`);
    if (!running) {
      this.#show({ ...this.#page, items: this.#page.items.filter((item) => item.id !== conversion.id) });
    }
    this.#wake();
  }

  /**
   * What a screen reader hears of a change.
   * @param {Conversion} before
   * @param {Conversion} after
   */
  #tell(before, after) {
    const title = titleOf(after);
    if (before.state !== after.state) {
      if (after.state === 'converting') announce(`${title}: converting.`);
      if (after.state === 'ready') announce(`${title}: the MP3 is ready.`);
      if (after.state === 'failed') announce(`${title}: failed. ${after.failure?.message ?? ''}`);
      return;
    }
    const quarter = Math.floor((after.progressPercent ?? 0) / 25);
    const passed = quarter > Math.floor((before.progressPercent ?? 0) / 25);
    if (after.state === 'converting' && passed) announce(`${title}: ${String(quarter * 25)}% converted.`);
  }
}
