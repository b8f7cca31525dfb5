/** Errors of the host side: what the processor can't do yet, never to be confused with a fault of the guest. */

const hexadecimal = (bytes: Uint8Array): string =>
  Array.from(bytes, (byte) => byte.toString(16).padStart(2, '0')).join(' ');

/** The instruction is valid but has no implementation. RIP is left at its start. */
export class UnimplementedInstructionError extends Error {
  readonly code = 'unimplemented-instruction';
  readonly bytes: Uint8Array;
  readonly mnemonic: string;
  readonly rip: bigint;
  constructor(mnemonic: string, bytes: Uint8Array, rip: bigint) {
    super(`${mnemonic} (${hexadecimal(bytes)}) at 0x${rip.toString(16)} is not implemented`);
    this.name = 'UnimplementedInstructionError';
    this.mnemonic = mnemonic;
    this.bytes = bytes;
    this.rip = rip;
  }
}

/** A feature of the architecture that is not implemented, such as hardware task switches. */
export class UnimplementedFeatureError extends Error {
  readonly code = 'unimplemented-feature';
  readonly feature: string;
  readonly rip: bigint;
  constructor(feature: string, rip: bigint) {
    super(`${feature}, needed at 0x${rip.toString(16)}, is not implemented`);
    this.name = 'UnimplementedFeatureError';
    this.feature = feature;
    this.rip = rip;
  }
}
