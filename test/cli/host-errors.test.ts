import { describe, expect, it } from 'vitest';
import { CommandError } from '../../src/cli/command-error.js';
import { commandErrorFor } from '../../src/cli/host-errors.js';
import { PolicyError } from '../../src/kvm/policies.js';
import { MachineError } from '../../src/machine/machine-error.js';
import { UnhandledExitError } from '../../src/machine/user-space-devices.js';
import { UnimplementedFeatureError, UnimplementedInstructionError } from '../../src/processor/errors.js';

describe('host errors at the command line', () => {
  it.each([
    [
      new UnimplementedInstructionError('FSIN', Uint8Array.of(0xd9, 0xfe), 0x100002n),
      114,
      'FSIN (d9 fe) at 0x100002 is not implemented',
    ],
    [
      new UnimplementedFeatureError('a task gate', 0x1234n),
      114,
      'a task gate, needed at 0x1234, is not implemented',
    ],
    [
      new UnhandledExitError({ reason: 'unknown', hardwareReason: 99 }, 'VM exit with reason 99'),
      114,
      'VM exit with reason 99 is not implemented',
    ],
    [new MachineError('image', 'the image is empty'), 1, 'guest.bin: the image is empty'],
    [new MachineError('option', 'too much'), 2, 'too much'],
    [
      new PolicyError('hostFpu', 'none', ['eager']),
      2,
      'policy hostFpu=none is not available (available: eager)',
    ],
  ])('%s', (error, exitCode, message) => {
    const result = commandErrorFor(error, 'guest.bin');
    expect(result).toBeInstanceOf(CommandError);
    expect(result).toMatchObject({ exitCode, message });
  });

  it('leaves defects as they are', () => {
    const defect = new TypeError('x is not a function');
    expect(commandErrorFor(defect, 'guest.bin')).toBe(defect);
  });
});
