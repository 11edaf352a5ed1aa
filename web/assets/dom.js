/**
 * The element of the page that `id` names.
 * @template {HTMLElement} T
 * @param {string} id
 * @param {new () => T} type
 * @returns {T}
 */
export function byId(id, type) {
  const found = document.getElementById(id);
  if (!(found instanceof type)) throw new Error(`The page has no ${type.name} called ${id}.`);
  return found;
}

/**
 * A new element. Children that are strings become text, never markup.
 * @template {keyof HTMLElementTagNameMap} K
 * @param {K} tag
 * @param {Record<string, string>} [attributes]
 * @param {...(Node | string)} children
 * @returns {HTMLElementTagNameMap[K]}
 */
export function make(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
}

const SVG = 'http://www.w3.org/2000/svg';

/**
 * A drawing of icons.svg, hidden from screen readers: the button around it carries the words.
 * @param {string} name
 */
export function icon(name) {
  const svg = document.createElementNS(SVG, 'svg');
  svg.setAttribute('class', 'icon');
  svg.setAttribute('aria-hidden', 'true');
  svg.append(document.createElementNS(SVG, 'use'));
  showIcon(svg, name);
  return svg;
}

/**
 * Writes only what changed: browsers ask the server for the drawing whenever it is written.
 * @param {SVGSVGElement} svg
 * @param {string} name
 */
export function showIcon(svg, name) {
  const use = svg.firstElementChild;
  const href = `assets/icons.svg#${name}`;
  if (use !== null && use.getAttribute('href') !== href) use.setAttribute('href', href);
}

/**
 * A button; `label` is its accessible name where it shows an icon only.
 * @param {{ class: string, text?: string, icon?: string, label?: string }} looks
 * @param {() => void} onClick
 */
export function button(looks, onClick) {
  const element = make('button', { type: 'button', class: looks.class });
  if (looks.icon !== undefined) element.append(icon(looks.icon));
  if (looks.text !== undefined) element.append(make('span', {}, looks.text));
  if (looks.label !== undefined) setLabel(element, looks.label);
  element.addEventListener('click', onClick);
  return element;
}

/**
 * @param {HTMLElement} element
 * @param {string} label
 */
export function setLabel(element, label) {
  if (element.getAttribute('aria-label') === label) return;
  element.setAttribute('aria-label', label);
  element.title = label;
}

/**
 * Writes only what changed, so that a screen reader and a selection are left alone by a poll that brings nothing.
 * @param {Element} element
 * @param {string} text
 */
export function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * The progress bar in the form of a wave. `percent` null: under way, nobody knows how far.
 * @param {string} label
 */
export function makeWave(label) {
  const element = make('div', { class: 'wave', role: 'progressbar', 'aria-label': label });
  element.setAttribute('aria-valuemin', '0');
  element.setAttribute('aria-valuemax', '100');
  return element;
}

/**
 * @param {HTMLElement} wave
 * @param {number | null} percent
 */
export function setWave(wave, percent) {
  wave.classList.toggle('unknown', percent === null);
  if (percent === null) {
    wave.removeAttribute('aria-valuenow');
    wave.style.setProperty('--done', '0%');
    return;
  }
  const bounded = Math.max(0, Math.min(100, percent));
  wave.setAttribute('aria-valuenow', String(Math.floor(bounded)));
  wave.style.setProperty('--done', `${String(bounded)}%`);
}

/**
 * Says a sentence to screen readers once what they are saying is over.
 * @param {string} sentence
 */
export function announce(sentence) {
  const line = make('span', {}, `${sentence} `);
  const announcer = byId('announcer', HTMLElement);
  announcer.append(line);
  while (announcer.childElementCount > 5) announcer.firstElementChild?.remove();
}
