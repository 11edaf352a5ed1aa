/** @import { Api } from './api.js' */
import { button, icon, make, setText, showIcon } from './dom.js';
import { formatDuration } from './format.js';

/**
 * The one that plays: starting another pauses it.
 * @type {Player | null}
 */
let playing = null;

/** Keeps the one-click link of a conversion for as long as it lives, so that playing and downloading share one. */
export class Link {
  #api;
  #id;
  /** @type {{ href: string, expiresAt: number } | null} */
  #link = null;

  /**
   * @param {Api} api
   * @param {string} id
   */
  constructor(api, id) {
    this.#api = api;
    this.#id = id;
  }

  async href() {
    // One minute to spare, so that what begins to load can end.
    if (this.#link === null || this.#link.expiresAt < Date.now() + 60_000) {
      this.#link = await this.#api.link(this.#id);
    }
    return this.#link.href;
  }

  forget() {
    this.#link = null;
  }
}

/** Plays one MP3 in its row: a button to play and pause, and a wave to seek in. */
export class Player {
  #link;
  #title;
  #onFailed;
  #audio = make('audio', { preload: 'metadata' });
  #icon = icon('play');
  #time = make('span', { class: 'player-time' });
  #seek;
  #wave = make('div', { class: 'wave' });

  /**
   * @param {Link} link
   * @param {{ title: string, durationMs: number | null, onFailed: (sentence: string) => void }} about
   */
  constructor(link, about) {
    this.#link = link;
    this.#title = about.title;
    this.#onFailed = about.onFailed;
    this.button = button({ class: 'lead play', label: `Play ${about.title}` }, () => void this.toggle());
    this.button.append(this.#icon);
    this.#seek = make('input', { type: 'range', min: '0', step: '1', value: '0', 'aria-label': 'Position' });
    this.#seek.max = String(Math.max(1, Math.round((about.durationMs ?? 0) / 1000)));
    this.element = make(
      'div',
      { class: 'player', role: 'group', 'aria-label': `Player of ${about.title}` },
      this.#audio,
      make('div', { class: 'seek' }, this.#wave, this.#seek),
      this.#time,
    );
    this.element.hidden = true;
    this.#listen();
  }

  async toggle() {
    if (!this.#audio.paused) {
      this.#audio.pause();
      return;
    }
    try {
      if (!this.#audio.hasAttribute('src')) this.#audio.src = `${await this.#link.href()}?inline`;
      this.element.hidden = false;
      this.#draw();
      await this.#audio.play();
    } catch (error) {
      // A pause before the sound began is no failure; what else stops it, the error event tells.
      if (error instanceof DOMException) return;
      this.#onFailed(error instanceof Error ? error.message : String(error));
    }
  }

  /** Stops the sound and lets go of the connection. */
  close() {
    if (playing === this) playing = null;
    this.#audio.pause();
    if (this.#audio.hasAttribute('src')) this.#release();
  }

  #release() {
    this.#audio.removeAttribute('src');
    this.#audio.load();
  }

  #listen() {
    const audio = this.#audio;
    audio.addEventListener('play', () => {
      if (playing !== this) playing?.pause();
      playing = this;
      this.#show(true);
    });
    audio.addEventListener('pause', () => this.#show(false));
    audio.addEventListener('ended', () => this.#show(false));
    audio.addEventListener('timeupdate', () => this.#draw());
    audio.addEventListener('durationchange', () => this.#draw());
    audio.addEventListener('error', () => {
      if (!audio.hasAttribute('src')) return;
      // The link may have gone: the next click asks for a new one.
      this.#link.forget();
      this.#release();
      this.#show(false);
      this.#onFailed('The MP3 can’t be played at the moment. Try again, or download it.');
    });
    this.#seek.addEventListener('input', () => {
      audio.currentTime = Number(this.#seek.value);
      this.#draw();
    });
  }

  pause() {
    this.#audio.pause();
  }

  /** @param {boolean} sounds */
  #show(sounds) {
    showIcon(this.#icon, sounds ? 'pause' : 'play');
    const label = `${sounds ? 'Pause' : 'Play'} ${this.#title}`;
    this.button.setAttribute('aria-label', label);
    this.button.title = label;
    this.element.classList.toggle('sounds', sounds);
  }

  #draw() {
    const { currentTime, duration } = this.#audio;
    if (Number.isFinite(duration) && duration > 0) this.#seek.max = String(Math.ceil(duration));
    const total = Number.isFinite(duration) && duration > 0 ? duration : Number(this.#seek.max);
    this.#seek.value = String(Math.round(currentTime));
    const at = formatDuration(currentTime * 1000);
    const of = formatDuration(total * 1000);
    this.#seek.setAttribute('aria-valuetext', `${at} of ${of}`);
    this.#wave.style.setProperty('--done', `${String((currentTime / total) * 100)}%`);
    setText(this.#time, `${at} / ${of}`);
  }
}
