/** What each byte counts for as a hexadecimal digit; -1 if it is none. */
export const HEX_DIGITS = Int32Array.from({ length: 256 }, (_, byte) => '0123456789abcdef'.indexOf(String.fromCharCode(byte).toLowerCase()));
