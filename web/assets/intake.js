/** @import { Api, Conversion } from './api.js' */
import { ApiError } from './api.js';
import { byId, setText } from './dom.js';
import { formatBytes } from './format.js';

/**
 * Where videos come in: files dropped anywhere on the page or chosen, and addresses.
 * @param {Api} api
 * @param {number} maxBytes
 * @param {{ onFiles: (files: File[]) => void, onConversion: (conversion: Conversion) => void,
 *   onRefused: (sentence: string) => void }} events
 * @param {AbortSignal} signal  ends all listening
 */
export function openIntake(api, maxBytes, events, signal) {
  const limit = `up to ${formatBytes(maxBytes)} each`;
  setText(byId('limits', HTMLElement), `MP4, MKV, WebM, MOV, AVI and more, ${limit}.`);
  listenToPicker(events.onFiles, signal);
  listenToDrops(events, signal);
  listenToAddress(api, events.onConversion, signal);
}

/**
 * @param {(files: File[]) => void} onFiles
 * @param {AbortSignal} signal
 */
function listenToPicker(onFiles, signal) {
  const input = byId('files', HTMLInputElement);
  const changed = () => {
    const files = [...(input.files ?? [])];
    // Emptied, so that choosing the same file again is a change, too.
    input.value = '';
    if (files.length > 0) onFiles(files);
  };
  input.addEventListener('change', changed, { signal });
}

/**
 * @param {{ onFiles: (files: File[]) => void, onRefused: (sentence: string) => void }} events
 * @param {AbortSignal} signal
 */
function listenToDrops(events, signal) {
  const zone = byId('drop', HTMLElement);
  let depth = 0;
  const mark = (/** @type {number} */ next) => {
    depth = Math.max(0, next);
    zone.classList.toggle('over', depth > 0);
  };
  const on = (/** @type {string} */ type, /** @type {(event: DragEvent) => void} */ listen) => {
    // The whole window takes drops: a file that misses the zone must not replace the page.
    const listener = (/** @type {Event} */ event) => {
      if (event instanceof DragEvent && event.dataTransfer?.types.includes('Files')) {
        event.preventDefault();
        listen(event);
      }
    };
    window.addEventListener(type, listener, { signal });
  };
  on('dragenter', () => mark(depth + 1));
  on('dragleave', () => mark(depth - 1));
  on('dragover', (event) => {
    if (event.dataTransfer !== null) event.dataTransfer.dropEffect = 'copy';
  });
  on('drop', (event) => {
    mark(0);
    const items = [...(event.dataTransfer?.items ?? [])].filter((item) => item.kind === 'file');
    const folders = items.filter((item) => item.webkitGetAsEntry()?.isDirectory === true);
    const files = items.filter((item) => !folders.includes(item)).map((item) => item.getAsFile());
    if (folders.length > 0)
      events.onRefused('Folders can’t be uploaded. Open the folder and drop the files in it.');
    const present = files.filter((file) => file !== null);
    if (present.length > 0) events.onFiles(present);
  });
}

/**
 * @param {Api} api
 * @param {(conversion: Conversion) => void} onConversion
 * @param {AbortSignal} signal
 */
function listenToAddress(api, onConversion, signal) {
  const form = byId('url-form', HTMLFormElement);
  const input = byId('url', HTMLInputElement);
  const line = byId('url-error', HTMLElement);
  const submit = form.querySelector('button');
  const fail = (/** @type {string} */ sentence) => {
    setText(line, sentence);
    input.toggleAttribute('aria-invalid', sentence !== '');
    if (sentence !== '') input.focus();
  };
  const send = async () => {
    const url = input.value.trim();
    if (!/^https?:\/\/[^/]/i.test(url) || !URL.canParse(url)) {
      fail('Enter a whole address that begins with https:// or http://.');
      return;
    }
    fail('');
    submit?.setAttribute('disabled', '');
    try {
      onConversion(await api.fetchUrl(url));
      input.value = '';
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      if (!signal.aborted) fail(error.message);
    } finally {
      submit?.removeAttribute('disabled');
    }
  };
  const submitted = (/** @type {Event} */ event) => {
    event.preventDefault();
    void send();
  };
  form.addEventListener('submit', submitted, { signal });
  input.addEventListener('input', () => fail(''), { signal });
}
