import { AudiowaveError } from './errors.ts';

/** `admin` may manage accounts; `user` may use the service. The drop-in `admin` claim is another thing: see Claims. */
export type UserRole = 'user' | 'admin';

/** An account. */
export interface User {
  /** Opaque and stable. */
  readonly id: string;
  /** As written at registration; two addresses that differ in letter case only are the same account. */
  readonly email: string;
  /** A PHC string (`$argon2id$…`), or the plain text of a row that another implementation made. */
  readonly password: string;
  readonly role: UserRole;
  /** Milliseconds since the epoch; 0 where another implementation made the row. */
  readonly createdAt: number;
}

/** What a token of ours or of another implementation says (drop-in contract, "Auth"). */
export interface Claims {
  /** The e-mail address of the account; mail goes there. */
  readonly username: string;
  /** "May use the service" in the words of the original; true for everybody. */
  readonly admin: boolean;
  /** Seconds since the epoch. */
  readonly exp: number;
  readonly iat: number;
  /** Ours; absent in tokens of other implementations. */
  readonly role?: UserRole;
}

// One @, something on both sides, no white space or control characters, nothing that a mail header could be
// broken with. What else an address may be is decided by the mail that reaches it or does not.
const EMAIL = /^[^\s\p{Cc}@<>(),;:"\\[\]]+@[^\s\p{Cc}@<>(),;:"\\[\]]+$/u;

/** `email` trimmed; throws `user.invalid-email` where it is none or longer than 254 characters (RFC 5321, 4.5.3.1.3). */
export function parseEmail(email: string): string {
  const trimmed = email.trim();
  if (trimmed.length > 254 || !EMAIL.test(trimmed)) {
    throw new AudiowaveError(
      'user.invalid-email',
      'This is not an e-mail address; use the form name@example.com.',
    );
  }
  return trimmed;
}

/** The form in which two addresses are compared. */
export function emailKey(email: string): string {
  return email.trim().toLowerCase();
}

/** Throws `user.weak-password` unless the password has 6 to 256 characters. */
export function checkPassword(password: string): void {
  if (password.length < 6 || password.length > 256) {
    throw new AudiowaveError('user.weak-password', 'The password must have 6 to 256 characters.');
  }
}
