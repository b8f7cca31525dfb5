/** The type of an instruction's execution, and tables of them by mnemonic. */

import type { Emulation } from './emulation.js';

/** Executes the instruction on the private registers and on memory. Faults are thrown as `EmulatedFault`. */
export type Handler = (emulation: Emulation) => void;

/** Mnemonic, upper case → execution of all rows with that mnemonic. */
export type HandlerTable = Readonly<Record<string, Handler>>;
