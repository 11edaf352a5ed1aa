/** One mail, without transport. */
export interface Mail {
  /** Without angle brackets; the same conversion has the same one, so that a repeat can be told. */
  readonly messageId: string;
  readonly from: string;
  readonly to: string;
  readonly subject: string;
  readonly text: string;
  readonly html: string;
}
