import { spawnSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';

const ROOT = join(import.meta.dirname, '..', '..');
const README = readFileSync(join(ROOT, 'README.md'), 'utf8');

interface Block {
  readonly language: string;
  readonly text: string;
}
const BLOCKS: readonly Block[] = [...README.matchAll(/^```(\w+)\n(.*?)^```$/gms)].map(
  ([, language, text]) => ({ language: language!, text: text! }),
);

/** Something that was typed, and what the README says came of it. */
interface Transcript {
  readonly commands: readonly string[];
  readonly text: string;
}

/** As many texts behind commands as there are commands: one each. Otherwise the first text is of all of them. */
function transcripts(): Transcript[] {
  const found: Transcript[] = [];
  for (const [index, { language, text }] of BLOCKS.entries()) {
    if (language !== 'console') continue;
    const commands = [...text.matchAll(/^\$ (.*)$/gm)].map(([, command]) => command!);
    const next = BLOCKS.slice(index + 1);
    const end = next.findIndex((block) => block.language !== 'text');
    const texts = next.slice(0, end < 0 ? next.length : end).map((block) => block.text);
    if (texts.length === commands.length)
      for (const [number, command] of commands.entries())
        found.push({ commands: [command], text: texts[number]! });
    else if (texts.length > 0) found.push({ commands, text: texts[0]! });
  }
  return found;
}

/** What the shell runs instead: no installation, no build, and of the lab only what the README shows. */
function runnable(command: string, text: string): string {
  if (command === 'npm ci') return 'true';
  if (command === 'npm start')
    return JSON.parse(readFileSync(join(ROOT, 'package.json'), 'utf8')).scripts.start;
  const shown = [...text.matchAll(/\[([\w-]+)\]$/gm)].map(([, name]) => name);
  return command
    .replace(/^npx exitscope lab$/, `npx exitscope lab ${shown.join(' ')}`)
    .replace('npx exitscope', 'node bin/exitscope.js');
}

describe('README', () => {
  it('has transcripts', () => {
    expect(transcripts().length).toBeGreaterThanOrEqual(6);
  });

  it.each(transcripts().map((transcript) => [transcript.commands.join(' and '), transcript] as const))(
    'shows what comes of %s',
    (_, { commands, text }) => {
      const printed = commands
        .map((command) => `(${runnable(command, text)}) 2>&1`)
        .map((command) => spawnSync('sh', ['-c', command], { cwd: ROOT, encoding: 'utf8' }).stdout)
        .join('')
        .split('\n');
      let from = 0;
      // What it leaves out may lie between any two lines.
      for (const line of text.trimEnd().split('\n')) {
        if (line === '…') continue;
        const place = printed.indexOf(line, from);
        expect(place, line).toBeGreaterThanOrEqual(0);
        from = place + 1;
      }
    },
  );

  it('shows library code that does what its comment says', () => {
    const code = BLOCKS.find(({ language }) => language === 'js')!.text;
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
