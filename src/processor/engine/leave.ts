/** Leaving generated code: the reason and the record are stored for the run loop. */

import { type I32, i32 } from '../../wasm/expression.js';
import type { FunctionBuilder } from '../../wasm/function-builder.js';
import { STATE } from '../state/layout.js';

/** Emits the return to the run loop with an `EXIT` number. */
export function leaveWith(builder: FunctionBuilder, record: I32, processor: I32, reason: number): void {
  builder.store32(processor, STATE.EXIT_REASON, i32(reason));
  builder.store32(processor, STATE.EXIT_RECORD, record);
  builder.return();
}
