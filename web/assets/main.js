/** @import { Service } from './api.js' */
import { Api, ApiError } from './api.js';
import { Conversions } from './conversions.js';
import { byId, setText } from './dom.js';
import { Entry } from './entry.js';
import { openIntake } from './intake.js';
import { Outbox } from './outbox.js';
import { forgetSession, keepSession, keptSession } from './session.js';
import { openTabs } from './tabs.js';
import { Uploads } from './uploads.js';

const api = new Api();
const app = byId('app', HTMLElement);
const account = byId('account', HTMLElement);
/**
 * Ends everything that belongs to the user who is logged in.
 * @type {AbortController | null}
 */
let stay = null;

/** @param {string} sentence  '' takes it away */
function showBanner(sentence) {
  const banner = byId('banner', HTMLElement);
  setText(banner, sentence);
  banner.hidden = sentence === '';
}

/**
 * @param {Service} service
 * @param {string} email
 */
function enter(service, email) {
  stay = new AbortController();
  const { signal } = stay;
  entry.hide();
  setText(byId('account-email', HTMLElement), email);
  account.hidden = false;
  app.hidden = false;

  const onChange = () => {
    byId('empty', HTMLElement).hidden = uploads.size > 0 || !conversions.isEmpty;
  };
  const uploads = new Uploads(api, service.maxUploadBytes, {
    onConversion: (conversion) => conversions.add(conversion),
    onChange,
  });
  const conversions = new Conversions(api, {
    travelling: () => uploads.travelling,
    onChange,
    onTrouble: showBanner,
  });
  const outbox = new Outbox(api, showBanner);

  const tabs = byId('tabs', HTMLElement);
  tabs.hidden = !service.outbox;
  const choose = service.outbox
    ? openTabs(tabs, (panel) => outbox.show(panel === 'panel-outbox'), signal)
    : () => {};
  choose('panel-conversions');

  const intake = {
    onFiles: (/** @type {File[]} */ files) => {
      choose('panel-conversions');
      showBanner('');
      uploads.add(files);
    },
    onConversion: (/** @type {import('./api.js').Conversion} */ conversion) => {
      choose('panel-conversions');
      conversions.add(conversion);
    },
    onRefused: showBanner,
  };
  openIntake(api, service.maxUploadBytes, intake, signal);

  const leaving = (/** @type {BeforeUnloadEvent} */ event) => {
    if (uploads.busy) event.preventDefault();
  };
  window.addEventListener('beforeunload', leaving, { signal });
  signal.addEventListener('abort', () => {
    uploads.close();
    conversions.close();
    outbox.close();
  });
}

/**
 * Back to the log-in form.
 * @param {Service} service
 * @param {string} [notice]
 */
function leave(service, notice) {
  stay?.abort();
  stay = null;
  api.token = null;
  forgetSession();
  app.hidden = true;
  account.hidden = true;
  showBanner('');
  entry.show(service, notice);
}

/** @param {ApiError} error */
function noticeOf(error) {
  if (error.code === 'auth.forbidden') return 'This account may not do that. Log in with another one.';
  return 'Your session has ended. Please log in again.';
}

/**
 * Asks until there is an answer: the page may be open before the server is.
 * @returns {Promise<Service>}
 */
async function askService() {
  for (;;) {
    try {
      const service = await api.service();
      showBanner('');
      return service;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      showBanner(`${error.message} Trying again…`);
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  }
}

/**
 * With the token that was kept, if it is still good.
 * @param {Service} service
 */
async function resume(service) {
  const session = keptSession();
  if (session === null) {
    entry.show(service);
    return;
  }
  api.token = session.token;
  for (;;) {
    try {
      const { email } = await api.me();
      showBanner('');
      enter(service, email);
      return;
    } catch (error) {
      if (!(error instanceof ApiError)) throw error;
      // A refused token has led to the form already.
      if (api.token === null) return;
      showBanner(`${error.message} Trying again…`);
      await new Promise((resolve) => setTimeout(resolve, 3000));
    }
  }
}

const entry = new Entry(api, (session, keep) => {
  keepSession(session, keep);
  void service.then(resume);
});
const service = askService();
const known = await service;
setText(byId('version', HTMLElement), `Audiowave ${known.version}`);
api.onRefused = (/** @type {ApiError} */ error) => {
  if (api.token !== null) leave(known, noticeOf(error));
};
byId('log-out', HTMLElement).addEventListener('click', () => leave(known));
await resume(known);
