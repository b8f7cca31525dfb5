/** Errors of the host's side, as the command line tells them. */

import { PolicyError } from '../kvm/policies.js';
import { UnsupportedProcessorError } from '../kvm/vmx-module.js';
import { MachineError } from '../machine/machine-error.js';
import { CommandError } from './command-error.js';
import { EXIT } from './exit-codes.js';

/** What the user is told about a host error; other errors stay as they are. */
export function commandErrorFor(error: unknown, path: string): unknown {
  if (error instanceof MachineError) {
    const isOption = error.code === 'option';
    return new CommandError(
      isOption ? EXIT.USAGE : EXIT.FAILURE,
      isOption ? error.message : `${path}: ${error.message}`,
    );
  }
  if (error instanceof PolicyError || error instanceof UnsupportedProcessorError)
    return new CommandError(EXIT.USAGE, error.message);
  const { code, message } = error as { code?: unknown; message: string };
  if (code === 'unimplemented-instruction' || code === 'unimplemented-feature')
    return new CommandError(EXIT.UNIMPLEMENTED, message);
  return error;
}
