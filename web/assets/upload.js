/** @import { Conversion } from './api.js' */
import { API, errorOf } from './api.js';

/** So many files travel at a time; the others wait, so that each one is whole sooner. */
const AT_ONCE = 2;

/**
 * @typedef {object} Transfer  one file on its way
 * @property {(loaded: number, total: number) => void} onProgress
 * @property {(conversion: Conversion) => void} onDone
 * @property {(error: Error) => void} onFailed
 */

/** Sends files, two at a time, in the order in which they came. */
export class UploadQueue {
  #token;
  /** @type {{ file: File, transfer: Transfer }[]} */
  #waiting = [];
  /** @type {Map<File, XMLHttpRequest>} */
  #running = new Map();

  /** @param {() => string | null} token */
  constructor(token) {
    this.#token = token;
  }

  /** True while a file waits or travels. */
  get busy() {
    return this.#waiting.length + this.#running.size > 0;
  }

  /** @param {File} file */
  isRunning(file) {
    return this.#running.has(file);
  }

  /**
   * @param {File} file
   * @param {Transfer} transfer
   */
  add(file, transfer) {
    this.#waiting.push({ file, transfer });
    this.#next();
  }

  /**
   * Neither `onDone` nor `onFailed` follows.
   * @param {File} file
   */
  cancel(file) {
    this.#waiting = this.#waiting.filter((entry) => entry.file !== file);
    this.#running.get(file)?.abort();
    this.#running.delete(file);
    this.#next();
  }

  cancelAll() {
    this.#waiting = [];
    for (const request of this.#running.values()) request.abort();
    this.#running.clear();
  }

  #next() {
    while (this.#running.size < AT_ONCE) {
      const entry = this.#waiting.shift();
      if (entry === undefined) return;
      this.#send(entry.file, entry.transfer);
    }
  }

  /**
   * XMLHttpRequest, because fetch does not tell how much of a body has been sent.
   * @param {File} file
   * @param {Transfer} transfer
   */
  #send(file, transfer) {
    const request = new XMLHttpRequest();
    this.#running.set(file, request);
    request.open('POST', `${API}/conversions`);
    request.setRequestHeader('Accept', 'application/json');
    request.setRequestHeader('Authorization', `Bearer ${this.#token() ?? ''}`);
    request.upload.addEventListener('progress', (event) => {
      // The multipart frame around the file counts in `event`, too.
      transfer.onProgress(Math.min(event.loaded, file.size), file.size);
    });
    request.addEventListener('abort', () => {
      this.#running.delete(file);
      this.#next();
    });
    request.addEventListener('error', () => {
      this.#end(file, () => transfer.onFailed(errorOf(0, '', null)));
    });
    request.addEventListener('load', () => {
      this.#end(file, () => {
        if (request.status === 201) transfer.onDone(JSON.parse(request.responseText));
        else {
          const retryAfter = request.getResponseHeader('Retry-After');
          transfer.onFailed(errorOf(request.status, request.responseText, retryAfter));
        }
      });
    });
    const body = new FormData();
    body.set('file', file, file.name);
    request.send(body);
  }

  /**
   * @param {File} file
   * @param {() => void} tell
   */
  #end(file, tell) {
    this.#running.delete(file);
    tell();
    this.#next();
  }
}
