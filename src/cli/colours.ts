/** Colours for people at a terminal; none for files, pipes, NO_COLOR and dumb terminals. */

import pc from 'picocolors';
import { type Palette, PLAIN } from '../trace/format.js';

export type ColourMode = 'auto' | 'always' | 'never';

/** The conventions of no-color.org and force-color.org, for standard output. */
export function colourWanted(mode: ColourMode, environment: NodeJS.ProcessEnv, isTerminal: boolean): boolean {
  if (mode !== 'auto') return mode === 'always';
  if (environment.NO_COLOR) return false;
  if (environment.FORCE_COLOR) return environment.FORCE_COLOR !== '0';
  return isTerminal && environment.TERM !== 'dumb';
}

export function paletteFor(mode: ColourMode): Palette {
  if (!colourWanted(mode, process.env, process.stdout.isTTY === true)) return PLAIN;
  const colours = pc.createColors(true);
  return { quiet: colours.dim, strong: colours.bold, light: colours.green, heavy: colours.yellow };
}
