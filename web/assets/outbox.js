/** @import { Api, OutboxMail } from './api.js' */
import { ApiError } from './api.js';
import { byId, make, setText } from './dom.js';
import { formatAgo, formatExact, splitLinks } from './format.js';

const POLL_MS = 5000;

/** The mails that an installation without a mail server keeps for their reader; polled while they are seen. */
export class Outbox {
  #api;
  #onTrouble;
  #list = byId('mails', HTMLElement);
  #empty = byId('outbox-empty', HTMLElement);
  /** @type {Map<string, HTMLElement>} */
  #mails = new Map();
  #open = false;
  /** @type {ReturnType<typeof setTimeout> | undefined} */
  #timer;
  #closing = new AbortController();

  /**
   * @param {Api} api
   * @param {(sentence: string) => void} onTrouble
   */
  constructor(api, onTrouble) {
    this.#api = api;
    this.#onTrouble = onTrouble;
    document.addEventListener('visibilitychange', () => this.#wake(), { signal: this.#closing.signal });
  }

  /** @param {boolean} open  whether its tab is chosen */
  show(open) {
    this.#open = open;
    this.#wake();
  }

  close() {
    this.#closing.abort();
    clearTimeout(this.#timer);
    this.#list.replaceChildren();
    this.#empty.hidden = true;
  }

  #wake() {
    clearTimeout(this.#timer);
    if (this.#open && !document.hidden && !this.#closing.signal.aborted) void this.#poll();
  }

  async #poll() {
    const { signal } = this.#closing;
    try {
      const { items } = await this.#api.outbox(signal);
      if (signal.aborted) return;
      this.#onTrouble('');
      this.#fill(items);
    } catch (error) {
      if (signal.aborted) return;
      if (!(error instanceof ApiError)) throw error;
      this.#onTrouble(`${error.message} Trying again…`);
    }
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#wake(), POLL_MS);
  }

  /** @param {OutboxMail[]} items  newest first */
  #fill(items) {
    const wanted = new Set(items.map((item) => item.name));
    for (const [name, element] of this.#mails) {
      if (wanted.has(name)) continue;
      this.#mails.delete(name);
      element.remove();
    }
    let place = this.#list.firstElementChild;
    for (const item of items) {
      const known = this.#mails.get(item.name);
      if (known !== undefined) {
        const time = known.querySelector('time');
        if (time !== null) setText(time, formatAgo(item.sentAt));
        place = known.nextElementSibling;
        continue;
      }
      const element = makeMail(item, this.#mails.size === 0);
      this.#mails.set(item.name, element);
      this.#list.insertBefore(element, place);
    }
    this.#empty.hidden = items.length > 0;
  }
}

/**
 * @param {OutboxMail} mail
 * @param {boolean} open
 */
function makeMail(mail, open) {
  const text = make('p', { class: 'mail-text' });
  for (const part of splitLinks(mail.text.trim())) {
    const attributes = { href: part.text, target: '_blank', rel: 'noopener noreferrer' };
    text.append(part.link ? make('a', attributes, part.text) : part.text);
  }
  const time = make(
    'time',
    { datetime: mail.sentAt, title: formatExact(mail.sentAt) },
    formatAgo(mail.sentAt),
  );
  // Subjects alone are all alike; the beginning of the text tells the mails apart.
  const lines = mail.text.split('\n').map((line) => line.trim());
  const preview = make('span', { class: 'mail-preview' }, lines.filter((line) => line !== '').join(' · '));
  const summary = make('summary', {}, make('span', { class: 'mail-subject' }, mail.subject), time, preview);
  const details = make(
    'details',
    { class: 'mail' },
    summary,
    make('p', { class: 'meta' }, `To ${mail.to}`),
    text,
  );
  details.open = open;
  return details;
}
