/** The VM-execution controls as numbers, read from the VMCS once per VM entry that follows a change. */

import { PIN_BASED, PRIMARY, SECONDARY } from '../../architecture/vmx/controls.js';
import { VMCS } from '../../architecture/vmx/vmcs-fields.js';
import { secondaryControls } from '../entry/field-tests.js';
import type { Vmcs } from '../vmcs.js';

export class ExecutionControls {
  pinBased = 0;
  primary = 0;
  /** 0 unless secondary controls are activated. */
  secondary = 0;
  exceptionBitmap = 0;
  pageFaultMask = 0;
  pageFaultMatch = 0;
  ioBitmapA = 0;
  ioBitmapB = 0;
  msrBitmaps = 0;
  tscOffset = 0n;
  cr0Mask = 0;
  cr0Shadow = 0;
  cr4Mask = 0;
  cr4Shadow = 0;
  cr3TargetCount = 0;
  readonly cr3Targets: bigint[] = [0n, 0n, 0n, 0n];
  virtualApicPage = 0;
  notificationVector = 0;
  postedInterruptDescriptor = 0;
  /** EOI-exit bitmap: 256 bits. */
  private readonly eoiExits = new Uint32Array(8);
  apicAccessPage = 0;
  tprThreshold = 0;
  /** Host-physical address of the EPT PML4 table, -1 with EPT disabled. */
  eptRoot = -1;
  /** VPID, 0 when VPIDs are disabled. */
  vpid = 0;

  load(vmcs: Vmcs): void {
    this.pinBased = vmcs.low(VMCS.PIN_BASED_VM_EXECUTION_CONTROLS);
    this.primary = vmcs.low(VMCS.PRIMARY_PROCESSOR_BASED_VM_EXECUTION_CONTROLS);
    this.secondary = secondaryControls(vmcs);
    this.exceptionBitmap = vmcs.low(VMCS.EXCEPTION_BITMAP);
    this.pageFaultMask = vmcs.low(VMCS.PAGE_FAULT_ERROR_CODE_MASK);
    this.pageFaultMatch = vmcs.low(VMCS.PAGE_FAULT_ERROR_CODE_MATCH);
    this.ioBitmapA = vmcs.number(VMCS.ADDRESS_OF_IO_BITMAP_A);
    this.ioBitmapB = vmcs.number(VMCS.ADDRESS_OF_IO_BITMAP_B);
    this.msrBitmaps = vmcs.number(VMCS.ADDRESS_OF_MSR_BITMAPS);
    this.tscOffset = this.hasPrimary(PRIMARY.USE_TSC_OFFSETTING)
      ? BigInt.asIntN(64, vmcs.value(VMCS.TSC_OFFSET))
      : 0n;
    this.cr0Mask = vmcs.low(VMCS.CR0_GUEST_HOST_MASK);
    this.cr0Shadow = vmcs.low(VMCS.CR0_READ_SHADOW);
    this.cr4Mask = vmcs.low(VMCS.CR4_GUEST_HOST_MASK);
    this.cr4Shadow = vmcs.low(VMCS.CR4_READ_SHADOW);
    this.cr3TargetCount = vmcs.low(VMCS.CR3_TARGET_COUNT);
    for (let n = 0; n < this.cr3TargetCount; n++)
      this.cr3Targets[n] = vmcs.value(VMCS.CR3_TARGET_VALUE_0 + n * 2);
    this.virtualApicPage = vmcs.number(VMCS.VIRTUAL_APIC_ADDRESS);
    if (this.hasPinBased(PIN_BASED.PROCESS_POSTED_INTERRUPTS)) {
      this.notificationVector = vmcs.low(VMCS.POSTED_INTERRUPT_NOTIFICATION_VECTOR);
      this.postedInterruptDescriptor = vmcs.number(VMCS.POSTED_INTERRUPT_DESCRIPTOR_ADDRESS);
    }
    if (this.hasSecondary(SECONDARY.VIRTUAL_INTERRUPT_DELIVERY))
      for (let word = 0; word < 8; word++) {
        const field = VMCS.EOI_EXIT_BITMAP_0 + (word >> 1) * 2;
        this.eoiExits[word] = (word & 1) === 0 ? vmcs.low(field) : vmcs.high(field);
      }
    this.apicAccessPage = vmcs.number(VMCS.APIC_ACCESS_ADDRESS);
    this.tprThreshold = vmcs.low(VMCS.TPR_THRESHOLD) & 15;
    const usesEpt = this.hasSecondary(SECONDARY.ENABLE_EPT);
    this.eptRoot = usesEpt ? Number(vmcs.value(VMCS.EPT_POINTER) & ~0xfffn) : -1;
    this.vpid = this.hasSecondary(SECONDARY.ENABLE_VPID) ? vmcs.low(VMCS.VIRTUAL_PROCESSOR_IDENTIFIER) : 0;
  }

  /** The end of this virtual interrupt causes a VM exit. */
  exitsOnEnd(vector: number): boolean {
    return (this.eoiExits[vector >> 5]! & (1 << (vector & 31))) !== 0;
  }

  hasPinBased(bit: (typeof PIN_BASED)[keyof typeof PIN_BASED]): boolean {
    return (this.pinBased & bit) !== 0;
  }
  hasPrimary(bit: (typeof PRIMARY)[keyof typeof PRIMARY]): boolean {
    return (this.primary & bit) !== 0;
  }
  hasSecondary(bit: (typeof SECONDARY)[keyof typeof SECONDARY]): boolean {
    return (this.secondary & bit) !== 0;
  }
}
