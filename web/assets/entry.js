/** @import { Api, Service, Session } from './api.js' */
import { ApiError } from './api.js';
import { byId, setText } from './dom.js';

const LOG_IN = {
  title: 'Log in',
  submit: 'Log in',
  question: 'New here?',
  other: 'Create an account',
};
const REGISTER = {
  title: 'Create an account',
  submit: 'Create account',
  question: 'You have an account?',
  other: 'Log in instead',
};

/** The form to log in, and to make an account where the installation lets people do that. */
export class Entry {
  #api;
  #onSession;
  #register = false;
  #view = byId('entry', HTMLElement);
  #form = byId('entry-form', HTMLFormElement);
  #email = byId('email', HTMLInputElement);
  #password = byId('password', HTMLInputElement);
  #stay = byId('stay', HTMLInputElement);
  #submit = byId('entry-submit', HTMLButtonElement);
  #error = byId('entry-error', HTMLElement);
  #notice = byId('entry-notice', HTMLElement);

  /**
   * @param {Api} api
   * @param {(session: Session, stay: boolean) => void} onSession
   */
  constructor(api, onSession) {
    this.#api = api;
    this.#onSession = onSession;
    this.#form.addEventListener('submit', (event) => {
      event.preventDefault();
      void this.#enter();
    });
    byId('entry-other', HTMLElement).addEventListener('click', () => {
      this.#choose(!this.#register);
      this.#email.focus();
    });
    for (const input of [this.#email, this.#password]) {
      input.addEventListener('input', () => input.removeAttribute('aria-invalid'));
    }
  }

  /**
   * @param {Service} service
   * @param {string} [notice]  why the user is here again
   */
  show(service, notice = '') {
    byId('entry-switch', HTMLElement).hidden = service.registration !== 'open';
    byId('entry-closed', HTMLElement).hidden = service.registration === 'open';
    this.#choose(false);
    this.#notice.hidden = notice === '';
    setText(this.#notice, notice);
    this.#view.hidden = false;
    (this.#email.value === '' ? this.#email : this.#password).focus();
  }

  hide() {
    this.#view.hidden = true;
    this.#password.value = '';
    this.#fail('');
  }

  /** @param {boolean} register */
  #choose(register) {
    this.#register = register;
    const words = register ? REGISTER : LOG_IN;
    setText(byId('entry-title', HTMLElement), words.title);
    setText(this.#submit, words.submit);
    setText(byId('entry-question', HTMLElement), words.question);
    setText(byId('entry-other', HTMLElement), words.other);
    this.#password.autocomplete = register ? 'new-password' : 'current-password';
    byId('password-hint', HTMLElement).hidden = !register;
    this.#fail('');
  }

  async #enter() {
    const email = this.#email.value.trim();
    const password = this.#password.value;
    if (!/^\S+@\S+$/.test(email)) {
      this.#fail('Enter your e-mail address, such as name@example.com.', this.#email);
      return;
    }
    if (password === '') {
      this.#fail('Enter your password.', this.#password);
      return;
    }
    this.#fail('');
    this.#submit.disabled = true;
    try {
      if (this.#register) await this.#api.register(email, password);
      const session = await this.#api.logIn(email, password);
      this.#onSession(session, this.#stay.checked);
    } catch (error) {
      this.#explain(error);
    } finally {
      this.#submit.disabled = false;
    }
  }

  /** @param {unknown} error */
  #explain(error) {
    if (!(error instanceof ApiError)) throw error;
    if (error.code === 'auth.invalid-credentials') {
      this.#fail('The e-mail address or the password is wrong.', this.#password);
    } else if (error.code === 'user.exists') {
      this.#fail('There is an account with this e-mail address already. Log in instead.', this.#email);
    } else if (error.code === 'user.invalid-email') {
      this.#fail(error.message, this.#email);
    } else if (error.code === 'user.weak-password') {
      this.#fail(error.message, this.#password);
    } else {
      this.#fail(error.message);
    }
  }

  /**
   * @param {string} sentence
   * @param {HTMLInputElement} [field]
   */
  #fail(sentence, field) {
    setText(this.#error, sentence);
    for (const input of [this.#email, this.#password]) input.removeAttribute('aria-invalid');
    if (sentence !== '') this.#notice.hidden = true;
    field?.setAttribute('aria-invalid', 'true');
    field?.select();
    field?.focus();
  }
}
