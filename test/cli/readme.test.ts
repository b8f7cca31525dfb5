import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');

describe('README', () => {
  it('shows library code that does what its comment says', () => {
    const readme = readFileSync(join(ROOT, 'README.md'), 'utf8');
    const code = /```js\n([^`]*)```/.exec(readme)![1];
    const { stdout, stderr } = spawnSync(process.execPath, ['--input-type=module', '--eval', code], {
      cwd: ROOT,
      encoding: 'utf8',
    });
    expect(stderr).toBe('');
    const lines = stdout.trimEnd().split('\n');
    expect(code).toContain(`// ${lines.pop()}`);
    expect(lines.pop()).toMatch(/^1048578n out port 0xf4, 1 byte, immediate \d+$/);
  });
});
