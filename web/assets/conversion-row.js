/** @import { Api, Conversion } from './api.js' */
import { button, icon, make, makeWave, setLabel, setText, setWave, showIcon } from './dom.js';
import { formatAgo, formatBytes, formatDuration, formatExact, formatPercent, titleOf } from './format.js';
import { Link, Player } from './player.js';

/** @type {Record<Conversion['state'], { word: string, icon: string }>} */
const STATES = {
  uploading: { word: 'Uploading', icon: 'upload' },
  fetching: { word: 'Fetching', icon: 'download' },
  queued: { word: 'Waiting for a converter', icon: 'waiting' },
  converting: { word: 'Converting', icon: 'working' },
  ready: { word: 'Ready', icon: 'play' },
  failed: { word: 'Failed', icon: 'failed' },
  cancelled: { word: 'Cancelled', icon: 'cancelled' },
};

const INCOMPLETE = 'The video broke off, so this MP3 holds only its beginning.';
const REMOVED = 'The MP3 was removed, because it had been kept for as long as this installation keeps them.';

/**
 * True while more is going to happen to the conversion.
 * @param {Conversion} conversion
 */
export function isRunning(conversion) {
  return ['uploading', 'fetching', 'queued', 'converting'].includes(conversion.state);
}

/**
 * What is known about a conversion, in few words.
 * @param {Conversion} c
 * @returns {string[]}
 */
export function describe(c) {
  const parts = [];
  const video = c.videoBytes === null ? null : formatBytes(c.videoBytes);
  if (c.state === 'ready') {
    if (c.durationMs !== null) parts.push(formatDuration(c.durationMs));
    if (c.mp3Bytes !== null) parts.push(`${formatBytes(c.mp3Bytes)} MP3`);
    if (video !== null) parts.push(`from ${video}`);
    return parts;
  }
  const percent = c.progressPercent === null || !isRunning(c) ? '' : ` ${formatPercent(c.progressPercent)}`;
  parts.push(STATES[c.state].word + percent);
  if (video !== null) parts.push(video);
  const { url } = c.source;
  if (url !== undefined && URL.canParse(url)) parts.push(`from ${new URL(url).host}`);
  return parts;
}

/** One conversion of the list; `update` keeps focus, sound and an open question where they are. */
export class ConversionRow {
  #events;
  #link;
  #conversion;
  /** @type {Player | null} */
  #player = null;
  #title;
  #lead = make('span', { class: 'lead' });
  #leadIcon = icon('waiting');
  #name = make('h3', { class: 'name' });
  #badge = make('span', { class: 'badge' }, 'Incomplete');
  #facts = make('span');
  #time = make('time');
  #note = make('p', { class: 'note' });
  #error = make('p', { class: 'note bad', role: 'alert' });
  #wave;
  #download;
  #remove;
  #question;
  #actions;

  /**
   * @param {Api} api
   * @param {Conversion} conversion
   * @param {{ onRemove: (conversion: Conversion) => Promise<void> }} events
   */
  constructor(api, conversion, events) {
    this.#events = events;
    this.#conversion = conversion;
    this.#link = new Link(api, conversion.id);
    this.#title = titleOf(conversion);
    this.#lead.append(this.#leadIcon);
    this.#wave = makeWave(`Conversion of ${this.#title}`);
    this.#download = button(
      { class: 'button', icon: 'download', text: 'Download' },
      () => void this.#fetch(),
    );
    this.#remove = button({ class: 'button icon-only', icon: 'delete' }, () => this.#ask(true));
    this.#question = this.#makeQuestion();
    this.#actions = make('div', { class: 'actions' }, this.#download, this.#remove);
    this.element = make(
      'li',
      { class: 'row' },
      this.#lead,
      make(
        'div',
        { class: 'what' },
        this.#name,
        make('p', { class: 'meta' }, this.#badge, this.#facts, this.#time),
        this.#note,
        this.#error,
      ),
      this.#actions,
      this.#question.element,
      this.#wave,
    );
    this.update(conversion);
  }

  get conversion() {
    return this.#conversion;
  }

  /** @param {Conversion} conversion */
  update(conversion) {
    this.#conversion = conversion;
    const { state } = conversion;
    const ready = state === 'ready' && conversion.links.mp3 !== null;
    if (this.element.dataset['state'] !== state) {
      this.element.dataset['state'] = state;
      showIcon(this.#leadIcon, STATES[state].icon);
      this.#ask(false);
    }
    this.#title = titleOf(conversion);
    setText(this.#name, this.#title);
    this.#name.title = this.#title;
    this.#updateFacts(conversion);
    this.#updateNote(conversion);
    this.#wave.hidden = !isRunning(conversion);
    setWave(this.#wave, state === 'converting' ? conversion.progressPercent : null);
    this.#download.hidden = !ready;
    setLabel(this.#download, `Download the MP3 of ${this.#title}`);
    const verb = isRunning(conversion) ? 'Cancel' : 'Delete';
    setLabel(this.#remove, `${verb} ${this.#title}`);
    const drawing = this.#remove.querySelector('svg');
    if (drawing !== null) showIcon(drawing, isRunning(conversion) ? 'stop' : 'delete');
    this.#updatePlayer(ready);
  }

  /** Stops what plays. */
  close() {
    this.#player?.close();
  }

  /** @param {Conversion} conversion */
  #updateFacts(conversion) {
    this.#badge.hidden = !conversion.incomplete;
    setText(this.#facts, describe(conversion).join(' · '));
    const when = conversion.endedAt ?? conversion.createdAt;
    this.#time.dateTime = when;
    this.#time.title = formatExact(when);
    setText(this.#time, formatAgo(when));
  }

  /** @param {Conversion} conversion */
  #updateNote(conversion) {
    let note = '';
    if (conversion.failure !== null && conversion.state === 'failed') note = conversion.failure.message;
    else if (conversion.state === 'ready' && conversion.links.mp3 === null) note = REMOVED;
    else if (conversion.incomplete) note = INCOMPLETE;
    this.#note.classList.toggle('bad', conversion.state === 'failed');
    this.#note.hidden = note === '';
    setText(this.#note, note);
    this.#fail(this.#error.textContent ?? '');
  }

  /** @param {boolean} ready */
  #updatePlayer(ready) {
    if (ready && this.#player === null) {
      const about = { title: this.#title, durationMs: this.#conversion.durationMs };
      this.#player = new Player(this.#link, { ...about, onFailed: (sentence) => this.#fail(sentence) });
      this.#player.button.addEventListener('click', () => this.#fail(''));
      this.#lead.replaceWith(this.#player.button);
      this.element.append(this.#player.element);
    } else if (!ready && this.#player !== null) {
      this.#player.close();
      this.#player.button.replaceWith(this.#lead);
      this.#player.element.remove();
      this.#player = null;
    }
  }

  async #fetch() {
    this.#fail('');
    try {
      const anchor = make('a', { href: await this.#link.href(), download: '' });
      anchor.click();
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
    }
  }

  #makeQuestion() {
    const sentence = make('span', { class: 'question-text' });
    const yes = button({ class: 'button danger' }, () => void this.#confirm());
    const no = button({ class: 'button' }, () => this.#ask(false, true));
    const element = make('div', { class: 'question', role: 'group' }, sentence, yes, no);
    element.hidden = true;
    element.addEventListener('keydown', (event) => {
      if (event.key === 'Escape') this.#ask(false, true);
    });
    return { element, sentence, yes, no };
  }

  /**
   * Opens or closes the small question that stands between a click and the loss.
   * @param {boolean} open
   * @param {boolean} [focus]  give the focus back to the button that asked
   */
  #ask(open, focus = false) {
    const { element, sentence, yes, no } = this.#question;
    const running = isRunning(this.#conversion);
    setText(sentence, running ? 'Stop this conversion?' : 'Delete this for good?');
    setText(yes, running ? 'Stop' : 'Delete');
    setText(no, running ? 'Go on' : 'Keep');
    element.setAttribute('aria-label', sentence.textContent ?? '');
    const hadFocus = element.contains(document.activeElement);
    element.hidden = !open;
    this.#actions.hidden = open;
    if (open) yes.focus();
    else if (focus || hadFocus) this.#remove.focus();
  }

  async #confirm() {
    const { yes, no } = this.#question;
    yes.disabled = true;
    no.disabled = true;
    try {
      await this.#events.onRemove(this.#conversion);
    } catch (error) {
      this.#fail(error instanceof Error ? error.message : String(error));
      this.#ask(false, true);
    } finally {
      yes.disabled = false;
      no.disabled = false;
    }
  }

  /** @param {string} sentence */
  #fail(sentence) {
    this.#error.hidden = sentence === '';
    setText(this.#error, sentence);
  }
}
