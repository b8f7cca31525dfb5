/** What decides whether floating-point instructions may run (SDM Vol. 3A, 2.5: EM, MP, TS, NE; Table 9-3). */

import { CR0, CR4 } from '../../architecture/control-registers.js';
import { VECTOR } from '../../architecture/vectors.js';
import { GuestFault, type ProcessorCore } from '../core.js';
import { UnimplementedFeatureError } from '../errors.js';
import { raiseDeviceNotAvailable, raiseInvalidOpcode } from '../events/faults.js';
import { X87State } from './x87-state.js';

/** #NM for x87 instructions, FXSAVE and FXRSTOR when CR0.EM or CR0.TS is set. */
export function requireX87(core: ProcessorCore): void {
  if ((core.state.cr0 & (CR0.EM | CR0.TS)) !== 0) raiseDeviceNotAvailable();
}

/** #UD and #NM for instructions that touch MXCSR. */
export function requireSse(core: ProcessorCore): void {
  const { cr0, cr4 } = core.state;
  if ((cr0 & CR0.EM) !== 0 || (cr4 & CR4.OSFXSR) === 0) raiseInvalidOpcode();
  if ((cr0 & CR0.TS) !== 0) raiseDeviceNotAvailable();
}

/**
 * #MF when an unmasked exception of an earlier instruction is pending.
 * @throws UnimplementedFeatureError with CR0.NE clear, where FERR# would go out to the interrupt controller
 */
export function checkPendingException(core: ProcessorCore): void {
  if (!new X87State(core.state).isExceptionPending) return;
  if ((core.state.cr0 & CR0.NE) !== 0) throw new GuestFault(VECTOR.MF);
  throw new UnimplementedFeatureError('x87 error reporting through FERR# (CR0.NE = 0)', core.state.rip);
}
