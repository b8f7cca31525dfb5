/** What becomes of an exception while another event is delivered (SDM Vol. 3A, Table 6-5 and Interrupt 8). */

import { VECTOR } from '../../architecture/vectors.js';
import type { ProcessorEvent } from '../core.js';

const CONTRIBUTORY: ReadonlySet<number> = new Set([VECTOR.DE, VECTOR.TS, VECTOR.NP, VECTOR.SS, VECTOR.GP]);

type ExceptionClass = 'benign' | 'contributory' | 'page-fault' | 'double-fault';

function classify(event: ProcessorEvent): ExceptionClass {
  if (event.type !== 'hardware-exception') return 'benign';
  if (event.vector === VECTOR.DF) return 'double-fault';
  if (event.vector === VECTOR.PF || event.vector === VECTOR.VE) return 'page-fault';
  return CONTRIBUTORY.has(event.vector) ? 'contributory' : 'benign';
}

/** How a second exception is handled that occurs while the first event is delivered. */
export function combine(
  first: ProcessorEvent,
  second: ProcessorEvent,
): 'serially' | 'double-fault' | 'shutdown' {
  const secondClass = classify(second);
  if (secondClass === 'benign') return 'serially';
  switch (classify(first)) {
    case 'double-fault':
      return 'shutdown';
    case 'contributory':
      return secondClass === 'contributory' ? 'double-fault' : 'serially';
    case 'page-fault':
      return 'double-fault';
    default:
      return 'serially';
  }
}
