/** Outcomes of VMX instructions: VMsucceed, VMfailInvalid, VMfailValid (SDM Vol. 3C, 30.2 Conventions). */

export type VmxResult =
  | { readonly ok: true }
  | { readonly ok: false; readonly kind: 'invalid' }
  | { readonly ok: false; readonly kind: 'valid'; readonly error: number };

export const VM_SUCCEED: VmxResult = { ok: true };
export const VM_FAIL_INVALID: VmxResult = { ok: false, kind: 'invalid' };
