/** Runs the ROM under Bochs and reads the letters that it prints. */

import { spawnSync } from 'node:child_process';
import { readFileSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { hasTool, inTemporaryFolder } from '../../support/tools.js';
import { buildRom } from './rom.js';

const CONFIGURATION = `cpu: model=corei7_haswell_4770, count=1, ips=50000000, reset_on_triple_fault=0
memory: guest=32, host=32
romimage: file=rom.bin, address=0xffff0000
boot: disk
port_e9_hack: enabled=1
panic: action=fatal
error: action=ignore
info: action=ignore
debug: action=ignore
log: bochs.log
display_library: term
speaker: enabled=0
sound: driver=dummy
`;

/** Why Bochs can't be asked here, for the name of a test; empty when it can. */
export function bochsNote(): string {
  // Bochs needs a pseudo-terminal, which \`script\` gives.
  const missing = ['bochs', 'script'].filter((name) => !hasTool(name));
  return missing.length === 0 ? '' : ` (skipped: ${missing.join(', ')} not installed)`;
}

/** Lines of 64 letters (one for a scenario without flips), in the order of scenarios and fields. */
export function askBochs(): string[] {
  return inTemporaryFolder((folder) => {
    writeFileSync(join(folder, 'rom.bin'), buildRom());
    writeFileSync(join(folder, 'rc'), CONFIGURATION);
    spawnSync('script', ['-qec', 'bochs -q -f rc', 'terminal.log'], {
      cwd: folder,
      // The debugger waits for "continue".
      input: 'c\n',
      stdio: ['pipe', 'ignore', 'ignore'],
      env: { ...process.env, TERM: 'xterm' },
      timeout: 120_000,
    });
    const text = readFileSync(join(folder, 'terminal.log'), 'latin1').replaceAll('\r', '');
    // What the debugger's prompt prints ends with this escape sequence.
    const output = text.slice(text.lastIndexOf('[?2004l') + '[?2004l'.length);
    // Bochs's debugger reports the triple faults of guests in between.
    const letters = output.replaceAll(/\(0\)\.\[\d+\] .*\n/g, '');
    return letters.split('\n').filter((line) => /^([-I78EGPNLM.]|[-I78EGPNLM.]{64})$/.test(line));
  });
}
