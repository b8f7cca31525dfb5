import { readdirSync, readFileSync } from 'node:fs';
import { dirname, join, normalize, relative } from 'node:path';
import { describe, expect, it } from 'vitest';

/** What each folder of `src` may import, besides itself. Everything not listed is forbidden. */
const ALLOWED: Record<string, readonly string[]> = {
  bits: [],
  architecture: ['bits'],
  wasm: [],
  'instruction-set': ['architecture', 'bits'],
  decoder: ['instruction-set', 'architecture', 'bits'],
  disassembler: ['instruction-set', 'architecture', 'bits'],
  assembler: ['instruction-set', 'architecture', 'bits'],
  memory: ['bits'],
  trace: ['architecture', 'bits'],
  devices: ['bits'],
  processor: ['wasm', 'decoder', 'instruction-set', 'memory', 'architecture', 'bits'],
  vmx: ['wasm', 'processor', 'instruction-set', 'memory', 'architecture', 'bits'],
  host: ['vmx', 'processor', 'memory', 'trace', 'architecture', 'bits'],
  kvm: ['host', 'devices', 'decoder', 'instruction-set', 'memory', 'trace', 'architecture', 'bits'],
  machine: [
    'kvm',
    'host',
    'vmx',
    'processor',
    'devices',
    'decoder',
    'disassembler',
    'assembler',
    'instruction-set',
    'memory',
    'trace',
    'architecture',
    'bits',
  ],
  lab: ['machine', 'assembler', 'kvm', 'host', 'trace', 'architecture', 'bits'],
  cli: [
    'lab',
    'machine',
    'kvm',
    'host',
    'assembler',
    'disassembler',
    'decoder',
    'instruction-set',
    'trace',
    'architecture',
    'bits',
  ],
};

const SOURCE = join(import.meta.dirname, '..', 'src');
/** Node's own modules may appear only in the command line. */
const NODE_FOLDERS = new Set(['cli']);

function sourceFiles(folder: string): string[] {
  return readdirSync(folder, { withFileTypes: true }).flatMap((entry) => {
    const path = join(folder, entry.name);
    if (entry.isDirectory()) return sourceFiles(path);
    return entry.name.endsWith('.ts') ? [path] : [];
  });
}

const IMPORT =
  /(?:^|\n)\s*(?:import|export)\b[^'"`;]*?\bfrom\s*['"]([^'"]+)['"]|\bimport\s*\(\s*['"]([^'"]+)['"]|(?:^|\n)\s*import\s*['"]([^'"]+)['"]/g;

function importsOf(file: string): string[] {
  return [...readFileSync(file, 'utf8').matchAll(IMPORT)].map((m) => (m[1] ?? m[2] ?? m[3]) as string);
}

function resolveImport(file: string, specifier: string): string {
  return normalize(join(dirname(file), specifier)).replace(/\.js$/, '.ts');
}

const topFolder = (file: string): string => relative(SOURCE, file).split('/')[0] as string;

describe('layering of src', () => {
  const files = sourceFiles(SOURCE);
  const graph = new Map(
    files.map((file) => [
      file,
      importsOf(file)
        .filter((s) => s.startsWith('.'))
        .map((s) => resolveImport(file, s)),
    ]),
  );

  it('sees the sources and their imports', () => {
    expect(files.length).toBeGreaterThan(5);
    expect([...graph.values()].flat().length).toBeGreaterThan(5);
    for (const [file, targets] of graph)
      for (const target of targets) expect(graph.has(target), `${file} imports ${target}`).toBe(true);
  });

  it('has no import against the layering', () => {
    const violations: string[] = [];
    for (const [file, targets] of graph) {
      const from = topFolder(file);
      if (from.endsWith('.ts')) continue;
      for (const target of targets) {
        const to = topFolder(target);
        if (to !== from && !(ALLOWED[from] ?? []).includes(to))
          violations.push(`${relative(SOURCE, file)} -> ${relative(SOURCE, target)}`);
      }
    }
    expect(violations).toEqual([]);
  });

  it('uses packages and Node modules only in the command line', () => {
    const violations: string[] = [];
    for (const file of files)
      if (!NODE_FOLDERS.has(topFolder(file)))
        for (const specifier of importsOf(file))
          if (!specifier.startsWith('.')) violations.push(`${relative(SOURCE, file)} -> ${specifier}`);
    expect(violations).toEqual([]);
  });

  it('has no import cycle, type imports included', () => {
    const state = new Map<string, 'open' | 'done'>();
    const cycles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (state.get(file) === 'done') return;
      if (state.get(file) === 'open') {
        cycles.push([...path.slice(path.indexOf(file)), file].map((f) => relative(SOURCE, f)).join(' -> '));
        return;
      }
      state.set(file, 'open');
      for (const target of graph.get(file) ?? []) visit(target, [...path, file]);
      state.set(file, 'done');
    };
    for (const file of files) visit(file, []);
    expect(cycles).toEqual([]);
  });
});
