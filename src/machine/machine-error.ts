/** Errors of the host's side: an image or an option that no machine can be made of. Never raised by guest code. */

export type MachineErrorCode = 'image' | 'option';

export class MachineError extends Error {
  readonly code: MachineErrorCode;

  constructor(code: MachineErrorCode, message: string) {
    super(message);
    this.name = 'MachineError';
    this.code = code;
  }
}
