import { describe, expect, it } from 'vitest';
import { exitscope } from '../support/command-line.js';

const GUEST = 'guest-programs/vga-bios-text.asm';

describe('--vga', () => {
  it('gives the guest a window that is mapped and unmapped as it asks for', () => {
    const { code, output } = exitscope('run', '--vga', GUEST);
    expect(output).toBe('drawn: HELLO\nread back through the mapped window: right\n');
    expect(code).toBe(0);
  });

  it('is not there by default: the window is RAM', () => {
    const { output } = exitscope('run', GUEST);
    expect(output).toContain('wrong');
  });
});
