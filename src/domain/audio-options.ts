/** How an MP3 shall be encoded: a constant bit rate, or LAME's variable quality (0 best to 9 smallest). */
export type AudioOptions =
  | { readonly mode: 'cbr'; readonly bitrateKbps: number; readonly explicit: boolean }
  | { readonly mode: 'vbr'; readonly quality: number };

/** 192 kbit/s, lowered where the source or its sample rate can't fill it. */
export const DEFAULT_AUDIO_OPTIONS: AudioOptions = { mode: 'cbr', bitrateKbps: 192, explicit: false };
