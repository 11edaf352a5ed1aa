import { AudiowaveError } from '../../../domain/errors.ts';

/** The longest URL that is taken; signed links of object stores have about 2,000 characters. */
export const MAX_URL_CHARACTERS = 4096;

/**
 * The URL of a download request: http or https, without user name and password, its fragment dropped.
 * `import.url-required` where there is no text, `import.url-not-allowed` where the text is no such URL. Whether its
 * host may be asked is decided at each connection, where the address is known.
 */
export function checkImportUrl(text: unknown): URL {
  if (typeof text !== 'string' || text.trim() === '') throw new AudiowaveError('import.url-required');
  if (text.length > MAX_URL_CHARACTERS) {
    throw notAllowed(`The URL is longer than ${String(MAX_URL_CHARACTERS)} characters.`);
  }
  const url = URL.parse(text.trim());
  if (url === null) throw notAllowed('This is not a URL; use the form https://example.com/video.mp4.');
  checkUrlForm(url);
  url.hash = '';
  return url;
}

/** The part of the check that a redirect's target must pass as well. */
export function checkUrlForm(url: URL): void {
  if (url.protocol !== 'http:' && url.protocol !== 'https:') {
    throw notAllowed('Audiowave fetches from http and https addresses only.');
  }
  // They would stand in the conversion's record, and be sent to whoever the name resolves to.
  if (url.username !== '' || url.password !== '') {
    throw notAllowed('The URL must not hold a user name or password.');
  }
}

function notAllowed(message: string): AudiowaveError {
  return new AudiowaveError('import.url-not-allowed', message);
}
