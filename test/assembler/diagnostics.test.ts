import { describe, expect, it } from 'vitest';
import { assemble, formatDiagnostic } from '../../src/assembler/index.js';

/** `line:column: severity: message` of every diagnostic. */
function messages(source: string, readFile?: (path: string) => Uint8Array | undefined): string[] {
  const { diagnostics } = assemble(source, { fileName: 'a.asm', ...(readFile && { readFile }) });
  return diagnostics.map(
    ({ line, column, severity, message }) => `${line}:${column}: ${severity}: ${message}`,
  );
}

/** One wrong line in 64-bit code (it is line 2), and what is said about it. */
const WRONG_LINES: readonly (readonly [string, string])[] = [
  ['mov eax, byte 5', '2:1: error: mismatch in operand sizes'],
  ['push [rax]', '2:6: error: operation size not specified'],
  ['add [rax], 5', '2:5: error: operation size not specified'],
  ['mov eax, bx', '2:1: error: invalid combination of operands for mov'],
  ['mov eax', '2:1: error: invalid combination of operands for mov'],
  ['  frobnicate eax', "2:3: error: unknown instruction 'frobnicate'"],
  ['mov eax, nowhere', "2:10: error: symbol 'nowhere' is not defined"],
  ['times -1 db 0', '2:7: error: the count of TIMES is negative: -1'],
  ['mov eax, [rax', "2:10: error: missing ']' of the memory operand"],
  ["db 'abc", "2:4: error: unterminated string (missing ')"],
  ['jmp short $+300', '2:5: error: short jump is out of range'],
  ['mov spl, ah', "2:10: error: a high byte register can't be used where a REX prefix is needed"],
  ['mov eax, [rax+rbx*3]', '2:10: error: invalid 64-bit effective address'],
  ['mov eax, [rax+ebx]', '2:10: error: address registers of different sizes'],
  ['mov eax, [bx]', "2:10: error: 16-bit addresses can't be used in 64-bit code"],
  ['push es', '2:1: error: instruction not supported in 64-bit mode'],
  ['mov eax, (1+', '2:12: error: expression ends too early'],
  ['mov eax, 1/0', '2:11: error: division by zero'],
  ['mov eax, 0x1g', "2:10: error: invalid number '0x1g'"],
  ['mov eax, #5', "2:10: error: unexpected character '#'"],
  ['dd 5 5', "2:6: error: ',' or end of line expected before '5'"],
  ['align 3', '2:7: error: alignment 3 is not a power of two'],
  ['bits 17', '2:6: error: BITS 17: 16, 32 or 64 expected'],
  ['[frob 1]', "2:2: error: unknown directive 'frob'"],
  ['section .text sideways', "2:15: error: unknown section attribute 'sideways'"],
  ['extern foo', "2:8: error: a flat binary can't refer to external symbols"],
  ['dt 5', '2:4: error: an integer can only stand in DB, DW, DD and DQ'],
  ['dd 1e99', '2:4: error: floating-point constant is too large for its size'],
  ['mov eax, [seg x]', '2:11: error: SEG is not supported: no output format here has segments'],
  ['mov cx, byte [nowhere]', '2:1: error: mismatch in operand sizes'],
  ['lock mov eax, ebx', "2:1: warning: mov can't be locked with these operands"],
  ['endstruc', '2:1: error: ENDSTRUC without STRUC'],
  ['%frob', '2:1: error: unknown preprocessor directive %frob'],
  ['%if', '2:1: error: %if expects an expression'],
  ['%else', '2:1: error: %else without %if'],
  ['%rep 2', '2:1: error: %rep is never closed'],
  ['%include "nope.inc"', "2:10: error: can't read file 'nope.inc'"],
  ['%error too bad', '2:1: error: too bad'],
  ['mov al, 300', '2:9: warning: value does not fit a byte'],
  ['%warning take care', '2:1: warning: take care'],
  ['resb 1 << 40', '2:6: error: the size of resb 1099511627776 is too large'],
  ['a equ b\nb equ a', "2:7: error: symbol 'b' depends on itself"],
];

describe('diagnostics', () => {
  it.each(WRONG_LINES)('%s', (line, expected) => {
    // An unclosed %if is a second, rightful complaint.
    expect(messages(`bits 64\n${line}\n`)[0]).toBe(expected);
    expect(messages(`bits 64\n${line}\n`).length).toBe(line === '%if' ? 2 : 1);
  });

  it.each(['mov rax, 1', 'mov rax, ds', 'sldt rax'])('%s needs 64-bit code', (line) => {
    for (const bits of [16, 32])
      expect(messages(`bits ${bits}\n${line}\n`)).toEqual([
        `2:1: error: instruction not supported in ${bits}-bit mode`,
      ]);
    expect(messages(`bits 64\n${line}\n`)).toEqual([]);
  });

  it('shows the place with a caret, tabs kept', () => {
    const { diagnostics } = assemble('bits 64\n\tmov\teax, nowhere\n', { fileName: 'dir/a.asm' });
    expect(diagnostics.map(formatDiagnostic)).toEqual([
      "dir/a.asm:2:11: error: symbol 'nowhere' is not defined\n\tmov\teax, nowhere\n\t   \t     ^",
    ]);
  });

  it('shows of a long line what is around the place', () => {
    const source = `db ${'1, '.repeat(1000)}nowhere${', 2'.repeat(1000)}\n`;
    const { diagnostics } = assemble(source, { fileName: 'a.asm' });
    const [message, line, caret] = formatDiagnostic(diagnostics[0]!).split('\n') as [string, string, string];
    expect(message).toBe("a.asm:1:3004: error: symbol 'nowhere' is not defined");
    expect(line).toMatch(/^….*1, nowhere, 2.*…$/);
    expect(line).toHaveLength(162);
    expect(line.slice(caret.indexOf('^'))).toMatch(/^nowhere/);
    const start = assemble(`nowhere 1${', 2'.repeat(1000)}\n`, { fileName: 'a.asm' }).diagnostics[0]!;
    expect(formatDiagnostic(start)).toMatch(/\nnowhere 1, 2.*…\n\^$/);
  });

  it('keeps control characters of a source away from the terminal', () => {
    const { diagnostics } = assemble('\u001b[2J nop\n', { fileName: 'a.asm' });
    const text = diagnostics.map(formatDiagnostic).join('\n');
    expect(text).toContain("unexpected character '·'");
    expect(text).not.toContain('\u001b');
  });

  it('passes over a byte order mark', () => {
    expect(assemble('\ufeffbits 64\nnop\n', { fileName: 'a.asm' })).toMatchObject({
      ok: true,
      image: Uint8Array.of(0x90),
    });
  });

  it('reports every error of a file, each once', () => {
    const source = WRONG_LINES.filter(([line]) => !line.startsWith('%') && !line.includes('equ')).map(
      ([line]) => line,
    );
    const lines = messages(['bits 64', ...source].join('\n')).map((text) => Number(text.split(':')[0]));
    expect(lines).toEqual(source.map((_, index) => index + 2));
  });

  it('says nothing more about what follows from an error', () => {
    expect(messages('bits 64\nx equ nowhere\nmov eax, x\nlabel: frob 1\njmp label\n')).toEqual([
      "2:7: error: symbol 'nowhere' is not defined",
      "4:8: error: unknown instruction 'frob'",
    ]);
    expect(messages('%macro broken\nnop nop\n%endmacro\n')).toEqual([
      '1:8: error: %macro broken expects a number of parameters',
    ]);
    expect(messages('%include "no.inc"\nmov ax, DEFINED_THERE\n')).toEqual([
      "1:10: error: can't read file 'no.inc'",
    ]);
  });

  it('points at the invocation of a macro and names the line of its body', () => {
    expect(messages('%macro load 1\n  mov ax, %1\n%endmacro\n  load nowhere\n')).toEqual([
      "4:3: error: symbol 'nowhere' is not defined (in macro load, a.asm:2)",
    ]);
  });

  it('names the file that is in error', () => {
    const included = new TextEncoder().encode('nop\nmov ax, nowhere\n');
    const { diagnostics } = assemble('%include "b.inc"\n', { fileName: 'a.asm', readFile: () => included });
    expect(diagnostics.map((d) => [d.file, d.line, d.column])).toEqual([['b.inc', 2, 9]]);
  });

  it('gives no image when there are errors, and one when there are only warnings', () => {
    expect(assemble('mov ax, nowhere', { fileName: 'a' })).toMatchObject({
      ok: false,
      image: new Uint8Array(0),
    });
    expect(assemble('mov al, 300', { fileName: 'a' })).toMatchObject({
      ok: true,
      image: Uint8Array.of(0xb0, 0x2c),
    });
  });

  it('reports a second definition with the place of the first', () => {
    expect(messages('a: nop\n\na: nop\n')).toEqual(["3:1: error: symbol 'a' is already defined at a.asm:1"]);
  });

  it('reports labels that never settle', () => {
    expect(messages('start: times 10-(end-start) nop\nend:\n')).toEqual([
      '2:1: error: symbols still move after 80 passes',
    ]);
  });
});
