/**
 * CRC-16 with polynomial x^16 + x^15 + x^2 + 1, bits reflected, starting at 0: the one of the LAME tag. Four bytes are
 * taken at once ("slicing by 4"): table n holds what a byte does to the CRC when n more bytes follow it.
 */
const T0 = new Uint16Array(256);
const T1 = new Uint16Array(256);
const T2 = new Uint16Array(256);
const T3 = new Uint16Array(256);
for (let byte = 0; byte < 256; byte++) {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? (crc >>> 1) ^ 0xa001 : crc >>> 1;
  T0[byte] = crc;
}
for (let byte = 0; byte < 256; byte++) {
  const once = afterZero(T0[byte] ?? 0);
  const twice = afterZero(once);
  T1[byte] = once;
  T2[byte] = twice;
  T3[byte] = afterZero(twice);
}

function afterZero(crc: number): number {
  return (crc >>> 8) ^ (T0[crc & 0xff] ?? 0);
}

/** The CRC of all bytes so far, where `crc` was the one before `bytes`. */
export function crc16(bytes: Uint8Array, crc = 0): number {
  const sliced = bytes.length - (bytes.length % 4);
  let value = crc;
  for (let i = 0; i < sliced; i += 4) {
    const low = (value ^ (bytes[i] ?? 0)) & 0xff;
    const high = (value >>> 8) ^ (bytes[i + 1] ?? 0);
    value = (T3[low] ?? 0) ^ (T2[high] ?? 0) ^ (T1[bytes[i + 2] ?? 0] ?? 0) ^ (T0[bytes[i + 3] ?? 0] ?? 0);
  }
  for (let i = sliced; i < bytes.length; i++) {
    value = (value >>> 8) ^ (T0[(value ^ (bytes[i] ?? 0)) & 0xff] ?? 0);
  }
  return value;
}
