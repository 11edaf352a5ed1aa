/** @import { Api, Conversion } from './api.js' */
import { UNREACHABLE } from './api.js';
import { announce, button, byId, icon, make, makeWave, setText, setWave, showIcon } from './dom.js';
import { formatBytes, formatPercent, formatWait } from './format.js';
import { UploadQueue } from './upload.js';

/** The files on their way to the server, one row each, above the conversions. */
export class Uploads {
  #list = byId('uploads', HTMLUListElement);
  #queue;
  #api;
  #maxBytes;
  #onConversion;
  #onChange;
  /** @type {Set<UploadRow>} */
  #rows = new Set();

  /**
   * @param {Api} api
   * @param {number} maxBytes  the largest file that the server takes
   * @param {{ onConversion: (conversion: Conversion) => void, onChange: () => void }} events
   */
  constructor(api, maxBytes, events) {
    this.#api = api;
    this.#queue = new UploadQueue(() => api.token);
    this.#maxBytes = maxBytes;
    this.#onConversion = events.onConversion;
    this.#onChange = events.onChange;
  }

  get busy() {
    return this.#queue.busy;
  }

  /** The names of the files that travel: the server lists them as `uploading`, but their rows are here. */
  get travelling() {
    return [...this.#rows].filter((row) => this.#queue.isRunning(row.file)).map((row) => row.file.name);
  }

  get size() {
    return this.#rows.size;
  }

  /** @param {Iterable<File>} files */
  add(files) {
    for (const file of files) this.#addRow(file);
    this.#onChange();
  }

  close() {
    this.#queue.cancelAll();
    this.#rows.clear();
    this.#list.replaceChildren();
  }

  /** @param {File} file */
  #addRow(file) {
    const row = new UploadRow(file, {
      onCancel: () => {
        this.#queue.cancel(file);
        this.#remove(row);
        announce(`${file.name}: upload cancelled.`);
      },
      onRetry: () => this.#send(row),
    });
    this.#rows.add(row);
    this.#list.append(row.element);
    if (file.size > this.#maxBytes) {
      row.fail(
        `The file has ${formatBytes(file.size)}; the limit here is ${formatBytes(this.#maxBytes)}.`,
        false,
      );
    } else this.#send(row);
  }

  /** @param {UploadRow} row */
  #send(row) {
    row.wait();
    this.#queue.add(row.file, {
      onProgress: (loaded, total) => row.progress(loaded, total),
      onDone: (conversion) => {
        this.#remove(row);
        this.#onConversion(conversion);
      },
      onFailed: (error) => {
        const broken = error.message === UNREACHABLE;
        row.fail(broken ? 'The connection broke off; nothing was kept.' : error.message, true);
        this.#onChange();
        this.#api.notice(error);
      },
    });
  }

  /** @param {UploadRow} row */
  #remove(row) {
    const focused = row.element.contains(document.activeElement);
    this.#rows.delete(row);
    row.element.remove();
    if (focused) byId('conversions-title', HTMLElement).focus();
    this.#onChange();
  }
}

class UploadRow {
  #title;
  #lead = icon('waiting');
  #meta = make('p', { class: 'meta' }, 'Waiting for its turn');
  #note = make('p', { class: 'note bad' });
  #wave;
  #retry;
  #startedAt = 0;
  #quarter = 0;

  /**
   * @param {File} file
   * @param {{ onCancel: () => void, onRetry: () => void }} events
   */
  constructor(file, events) {
    this.file = file;
    this.#title = file.name;
    this.#wave = makeWave(`Upload of ${file.name}`);
    this.#retry = button({ class: 'button', text: 'Try again', icon: 'again' }, events.onRetry);
    const cancel = button(
      { class: 'button icon-only', icon: 'stop', label: `Cancel the upload of ${file.name}` },
      () => events.onCancel(),
    );
    this.element = make(
      'li',
      { class: 'row', 'data-state': 'waiting' },
      make('span', { class: 'lead' }, this.#lead),
      make(
        'div',
        { class: 'what' },
        make('h3', { class: 'name', title: file.name }, file.name),
        this.#meta,
        this.#note,
      ),
      make('div', { class: 'actions' }, this.#retry, cancel),
      this.#wave,
    );
    this.#retry.hidden = true;
    this.#note.hidden = true;
  }

  wait() {
    this.#startedAt = 0;
    this.#quarter = 0;
    this.#show('waiting', 'waiting');
    setText(this.#meta, `Waiting · ${formatBytes(this.file.size)}`);
    setWave(this.#wave, 0);
  }

  /**
   * @param {number} loaded
   * @param {number} total
   */
  progress(loaded, total) {
    const now = performance.now();
    if (this.#startedAt === 0) this.#startedAt = now;
    const percent = total === 0 ? 100 : (loaded / total) * 100;
    this.#show('uploading', 'upload');
    setWave(this.#wave, percent);
    const parts = [`Uploading ${formatPercent(percent)}`, `${formatBytes(loaded)} of ${formatBytes(total)}`];
    const seconds = (now - this.#startedAt) / 1000;
    if (percent >= 100) parts[0] = 'Storing';
    else if (seconds > 2 && loaded > 0)
      parts.push(`${formatWait(((total - loaded) * seconds) / loaded)} left`);
    setText(this.#meta, parts.join(' · '));
    this.#announceQuarter(percent);
  }

  /**
   * @param {string} sentence
   * @param {boolean} retryable
   */
  fail(sentence, retryable) {
    this.#show('failed', 'failed');
    setText(this.#meta, 'Not uploaded');
    setText(this.#note, sentence);
    this.#note.hidden = false;
    this.#retry.hidden = !retryable;
    announce(`${this.#title}: not uploaded. ${sentence}`);
  }

  /**
   * @param {string} state
   * @param {string} drawing
   */
  #show(state, drawing) {
    if (this.element.dataset['state'] !== state) {
      this.element.dataset['state'] = state;
      showIcon(this.#lead, drawing);
    }
    this.#wave.hidden = state === 'failed';
    this.#note.hidden = true;
    this.#retry.hidden = true;
  }

  /** @param {number} percent */
  #announceQuarter(percent) {
    const quarter = Math.floor(percent / 25);
    if (quarter > this.#quarter && quarter < 4)
      announce(`${this.#title}: ${String(quarter * 25)}% uploaded.`);
    this.#quarter = quarter;
  }
}
