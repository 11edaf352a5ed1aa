/** IDs of elements with their length marker (RFC 8794, 5; RFC 9559, 5.1). */
export const EBML_HEADER = 0x1a45dfa3;
export const SEGMENT = 0x18538067;
export const CLUSTER = 0x1f43b675;

/** An element's header is at most this long: an ID of four bytes (EBMLMaxIDLength, RFC 8794, 11.2.4), a size of eight. */
export const MOST_HEADER_BYTES = 12;

/** An EBML variable-size integer; `value` is undefined where all its bits are ones, which means an unknown size. */
export interface Vint {
  readonly value: number | undefined;
  /** Where its bytes end. */
  readonly end: number;
}

/** One element, its places counted from where its buffer begins. */
export interface Element {
  readonly id: number;
  readonly dataAt: number;
  /** Undefined for an unknown size (RFC 8794, 6.2). Above 2^53 it is inexact: no file is as long. */
  readonly size: number | undefined;
}

export function beginsLikeEbml(head: Buffer): boolean {
  return head.length >= 4 && head.readUInt32BE(0) === EBML_HEADER;
}

/** Reads an integer (RFC 8794, 4); undefined where the bytes end before it does, or where it has more than eight of them. */
export function readVint(bytes: Buffer, at: number): Vint | undefined {
  const first = bytes[at] ?? 0;
  const length = Math.clz32(first) - 23;
  if (length > 8 || at + length > bytes.length) return undefined;
  let value = first & (0xff >> length);
  let allOnes = value === 0xff >> length;
  for (let i = 1; i < length; i++) {
    const byte = bytes[at + i] ?? 0;
    allOnes &&= byte === 0xff;
    value = value * 256 + byte;
  }
  return { value: allOnes ? undefined : value, end: at + length };
}

/** Reads the header of an element (RFC 8794, 3); undefined where there is none. */
export function readElement(bytes: Buffer, at: number): Element | undefined {
  const idLength = Math.clz32(bytes[at] ?? 0) - 23;
  if (idLength > 4 || at + idLength > bytes.length) return undefined;
  const size = readVint(bytes, at + idLength);
  return size && { id: bytes.readUIntBE(at, idLength), dataAt: size.end, size: size.value };
}

/** The elements one after the other in `bytes` from `at` to `end`, up to the first that does not fit in. */
export function* elementsIn(bytes: Buffer, at: number, end: number): Generator<Element & { size: number }> {
  let next = at;
  while (next < end) {
    const element = readElement(bytes, next);
    if (element?.size === undefined || element.dataAt + element.size > end) return;
    const { id, dataAt, size } = element;
    yield { id, dataAt, size };
    next = dataAt + size;
  }
}

/** An unsigned integer of at most eight bytes (RFC 8794, 7.2); undefined where it isn't one, or too great to be exact. */
export function readUnsigned(bytes: Buffer, at: number, size: number | undefined): number | undefined {
  if (size === undefined || size > 8 || at + size > bytes.length) return undefined;
  let value = 0;
  for (let i = 0; i < size; i++) value = value * 256 + (bytes[at + i] ?? 0);
  return Number.isSafeInteger(value) ? value : undefined;
}
