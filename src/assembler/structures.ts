/** STRUC and ENDSTRUC define offsets; ISTRUC, AT and IEND lay out an instance. */

import { fail } from './assembly-error.js';
import type { Pass } from './pass.js';
import type { Token } from './token.js';
import { constantValue, requireScalar, type Value } from './value.js';

export function beginStructure(pass: Pass, name: Token, start: Value): void {
  if (pass.openStructure !== undefined) fail('structure', "STRUC can't be nested", name);
  pass.openStructure = { name: name.text, previous: pass.lastSection };
  pass.enterAbsolute(start);
  pass.defineSymbol(name, pass.here(), false);
}

/** Defines `NAME_size` and goes back to the section in which STRUC stood. */
export function endStructure(pass: Pass, token: Token): void {
  const open = pass.openStructure;
  if (open === undefined) fail('structure', 'ENDSTRUC without STRUC', token);
  pass.defineSymbol({ ...token, text: `${open.name}_size` }, constantValue(BigInt(pass.offset)), true);
  pass.openStructure = undefined;
  pass.enterSection(open.previous);
}

export function beginInstance(pass: Pass, name: Token): void {
  if (pass.openInstance !== undefined) fail('structure', "ISTRUC can't be nested", name);
  pass.openInstance = { name, start: pass.offset };
}

function padTo(pass: Pass, offset: Value, token: Token | undefined): void {
  if (offset.unknown) return;
  const target = requireScalar(offset, 'a structure offset', token);
  const { start } = pass.openInstance as { start: number };
  const padding = BigInt(start) + target - BigInt(pass.offset);
  if (padding < 0n) {
    pass.report('error', 'structure', 'the fields before this one are too long', token, true);
    return;
  }
  pass.fill(pass.checkCount(padding, 'the offset', token), 0);
}

/** Moves to a field; `field` is its offset plus that of the structure's start. */
export function instanceField(pass: Pass, field: Value, token: Token | undefined): void {
  const open = pass.openInstance;
  if (open === undefined) fail('structure', 'AT without ISTRUC', token);
  const start = pass.lookUpSymbol(open.name);
  padTo(
    pass,
    { ...field, constant: field.constant - start.constant, unknown: field.unknown || start.unknown },
    token,
  );
}

export function endInstance(pass: Pass, token: Token): void {
  const open = pass.openInstance;
  if (open === undefined) fail('structure', 'IEND without ISTRUC', token);
  padTo(pass, pass.lookUpSymbol({ ...open.name, text: `${open.name.text}_size` }), token);
  pass.openInstance = undefined;
}
