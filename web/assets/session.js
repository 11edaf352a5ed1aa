/** @import { Session } from './api.js' */

const KEY = 'audiowave.session';

/**
 * The session that was kept, unless it has expired. Storage may be forbidden in the browser: then nothing is kept.
 * @param {number} [now]
 * @returns {Session | null}
 */
export function keptSession(now = Date.now()) {
  for (const storage of storages()) {
    const session = parse(storage.getItem(KEY));
    if (session !== null && Date.parse(session.expiresAt) > now) return session;
  }
  return null;
}

/**
 * @param {Session} session
 * @param {boolean} stay  keep it after the tab is closed
 */
export function keepSession(session, stay) {
  forgetSession();
  const [tab, device] = storages();
  (stay ? device : tab)?.setItem(KEY, JSON.stringify({ token: session.token, expiresAt: session.expiresAt }));
}

export function forgetSession() {
  for (const storage of storages()) storage.removeItem(KEY);
}

/** @returns {Storage[]} */
function storages() {
  try {
    return [sessionStorage, localStorage];
  } catch {
    return [];
  }
}

/**
 * @param {string | null} text
 * @returns {Session | null}
 */
function parse(text) {
  try {
    const value = Object(JSON.parse(text ?? 'null'));
    return typeof value.token === 'string' && typeof value.expiresAt === 'string' ? value : null;
  } catch {
    return null;
  }
}
