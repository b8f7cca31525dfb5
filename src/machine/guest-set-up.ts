/** Brings a guest and its vCPUs into the state that `boot-state.ts` promises, before the run and at a start-up message. */

import { GPR } from '../architecture/registers.js';
import type { KvmVm } from '../kvm/kvm.js';
import type { SpecialRegisters } from '../kvm/special-registers.js';
import type { Vcpu } from '../kvm/vcpu.js';
import type { VcpuSegment } from '../kvm/vcpu-registers.js';
import { hostPhysical } from '../memory/addresses.js';
import type { PhysicalMemory } from '../memory/physical-memory.js';
import { BOOT_CODE_SELECTOR, BOOT_DATA_SELECTOR, BOOT_REGISTERS, writeBootTables } from './boot-state.js';
import type { GuestImage } from './guest-image.js';
import { STARTUP_VECTOR_SHIFT } from './memory-map.js';

/** Boot tables and image, by their guest-physical addresses. */
export function loadGuest(image: GuestImage, memory: PhysicalMemory, guestRam: number): void {
  writeBootTables((address, value) => memory.write64(hostPhysical(guestRam + address), value));
  for (const { physicalAddress, data } of image.segments)
    memory.load(hostPhysical(guestRam + physicalAddress), data);
}

const UNUSABLE_LDT: VcpuSegment = { selector: 0, base: 0n, limit: 0, accessRights: 0x10000 };
/** VM entry wants a busy TSS in 64-bit mode; the guest loads its own before it needs one. */
const EMPTY_TSS: VcpuSegment = { selector: 0, base: 0n, limit: 0x67, accessRights: 0x8b };
const CODE_64: VcpuSegment = {
  selector: BOOT_CODE_SELECTOR,
  base: 0n,
  limit: 0xffffffff,
  accessRights: 0xa09b,
};
const DATA: VcpuSegment = { selector: BOOT_DATA_SELECTOR, base: 0n, limit: 0xffffffff, accessRights: 0xc093 };

/** The boot processor's state at the guest's entry; application processors wait for their start-up message. */
export function enterBootState(kvmVm: KvmVm, vcpu: Vcpu, entry: number): void {
  setState(kvmVm, vcpu, entry, BOOT_REGISTERS.rsp, 0n);
}

/** What a start-up message does to an application processor (`boot-state.ts`). */
export function enterStartupState(kvmVm: KvmVm, vcpu: Vcpu, vector: number): void {
  setState(kvmVm, vcpu, vector << STARTUP_VECTOR_SHIFT, 0n, BigInt(vcpu.id));
}

function setState(kvmVm: KvmVm, vcpu: Vcpu, entry: number, rsp: bigint, rdi: bigint): void {
  const { cr0, cr3, cr4, efer, rflags, gdtBase, gdtLimit } = BOOT_REGISTERS;
  const gpr = new Array<bigint>(16).fill(0n);
  gpr[GPR.RSP] = rsp;
  gpr[GPR.RDI] = rdi;
  const special: SpecialRegisters = {
    segments: {
      es: DATA,
      cs: CODE_64,
      ss: DATA,
      ds: DATA,
      fs: DATA,
      gs: DATA,
      ldt: UNUSABLE_LDT,
      tr: EMPTY_TSS,
    },
    gdt: { base: gdtBase, limit: gdtLimit },
    idt: { base: 0n, limit: 0 },
    cr0: Number(cr0),
    cr2: 0n,
    cr3,
    cr4: Number(cr4),
    cr8: 0,
    efer: Number(efer),
    apicBase: vcpu.interrupts.readApicBase(),
  };
  kvmVm.setRegisters(vcpu, { gpr, rip: BigInt(entry), rflags: Number(rflags) }, special);
}
