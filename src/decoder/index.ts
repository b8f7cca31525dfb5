/** Bytes → instructions. */

export { decode, MAXIMUM_LENGTH } from './decode.js';
export { DecodeStatus } from './decode-status.js';
export { type Piece, sweep } from './sweep.js';
