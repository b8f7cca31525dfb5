/** `exitscope run`: a guest, and nothing but what it prints. */

import { Command } from 'commander';
import { addGuestOptions, type GuestOptions } from './guest-options.js';
import { output } from './standard-streams.js';

export function runCommand(): Command {
  return addGuestOptions(
    new Command('run')
      .summary('run a guest')
      .description('Runs a guest. What it sends through its serial port comes out on standard output.'),
  )
    .addHelpText('after', '\nExample:\n  $ exitscope run guest-programs/hello-serial.asm')
    .action(async (file: string, options: GuestOptions) => {
      const { reportEnd, runGuestFile } = await import('./run-guest.js');
      const result = await runGuestFile(file, options, {
        serialOutput: (byte) => output.bytes(Uint8Array.of(byte)),
      });
      reportEnd(result, options);
    });
}
