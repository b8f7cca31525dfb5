/** The doorway for observers: collects what happened between a VM exit and the next entry, and reports it. */

import { CR0, CR4 } from '../architecture/control-registers.js';
import { ENTRY_CONTROL } from '../architecture/vmx/controls.js';
import { describeExitQualification } from '../architecture/vmx/describe-exit.js';
import { EXIT_REASON, exitReasonName } from '../architecture/vmx/exit-reasons.js';
import { VMCS } from '../architecture/vmx/vmcs-fields.js';
import { OPERATION_NAMES } from '../host/cost/operations.js';
import { LedgerAccount } from '../host/ledger.js';
import type { PhysicalCpu } from '../host/physical-cpu.js';
import { STAGE, STAGE_NAMES } from '../host/stages.js';
import type { ChargedOperation, ExitRecord, StageRecord } from '../trace/events.js';
import { peekGuestBytes } from './guest-peek.js';
import type { Vm } from './vm.js';

const INSTRUCTION_BYTES = 15;

export class ExitTracker {
  private readonly vcpu: number;
  private readonly vm: Vm;
  private inExit = false;
  private reason = 0;
  private startTime = 0;
  private heavy = false;
  private record: Partial<ExitRecord> | undefined;
  /** The vCPU's own: when it halts for good, another thread has the CPU at the end of the exit. */
  private account: LedgerAccount | undefined;
  private actions: string[] = [];

  constructor(vcpu: number, vm: Vm) {
    this.vcpu = vcpu;
    this.vm = vm;
  }

  /** Somebody wants to know: notes are worth making. */
  get listening(): boolean {
    return this.record !== undefined;
  }

  /** Adds to what was done about the exit. Callers check `listening` before they build a text. */
  note(action: string): void {
    if (this.record !== undefined) this.actions.push(action);
  }

  /** The host got its state back: the exit is a heavy one. */
  hostStateReloaded(): void {
    this.heavy = true;
  }

  /** A VM exit took place; nothing of it has been charged. */
  begin(cpu: PhysicalCpu, reason: number): void {
    this.inExit = true;
    this.reason = reason;
    this.startTime = cpu.now;
    this.heavy = false;
    this.account = cpu.account;
    if (this.vm.trace.vmExit === undefined) return;
    cpu.account.log = [];
    this.actions = [];
    this.record = this.describe(cpu);
  }

  /** The guest runs again, or never will. */
  finish(cpu: PhysicalCpu): void {
    const { account } = this;
    if (!this.inExit || account === undefined) return;
    this.inExit = false;
    const cycles = cpu.now - this.startTime;
    account.finishExit(this.reason, cycles);
    if (this.record === undefined) return;
    const record: ExitRecord = {
      ...(this.record as ExitRecord),
      actions: this.actions,
      weight: this.heavy ? 'heavy' : 'light',
      cycles,
      stages: stagesOf(account.log ?? [], cycles),
    };
    account.log = null;
    this.record = undefined;
    this.vm.trace.vmExit?.(record);
  }

  private describe(cpu: PhysicalCpu): Partial<ExitRecord> {
    const number = (field: number): number => Number(cpu.peekVmcs(field));
    const reason = number(VMCS.EXIT_REASON);
    const qualification = cpu.peekVmcs(VMCS.EXIT_QUALIFICATION);
    const rip = cpu.peekVmcs(VMCS.GUEST_RIP);
    const interruption = number(VMCS.VM_EXIT_INTERRUPTION_INFORMATION);
    const valid = interruption >= 0x80000000;
    const paging = {
      enabled: (number(VMCS.GUEST_CR0) & CR0.PG) !== 0,
      physicalAddressExtension: (number(VMCS.GUEST_CR4) & CR4.PAE) !== 0,
      longMode: (number(VMCS.VM_ENTRY_CONTROLS) & ENTRY_CONTROL.IA32E_MODE_GUEST) !== 0,
      root: cpu.peekVmcs(VMCS.GUEST_CR3),
    };
    const codeBase = cpu.peekVmcs(VMCS.GUEST_CS_BASE);
    return {
      sequence: this.vm.statistics.exits - 1,
      vcpu: this.vcpu,
      time: this.startTime,
      rip,
      instructionBytes: peekGuestBytes(
        this.vm,
        paging,
        BigInt.asUintN(64, codeBase + rip),
        INSTRUCTION_BYTES,
      ),
      reason: reason & 0xffff,
      reasonName: exitReasonName(reason),
      qualification,
      interruptionInformation: valid ? interruption : 0,
      interruptionErrorCode: valid ? number(VMCS.VM_EXIT_INTERRUPTION_ERROR_CODE) : 0,
      guestPhysicalAddress: hasGuestPhysicalAddress(reason) ? number(VMCS.GUEST_PHYSICAL_ADDRESS) : undefined,
      description: describeExitQualification(reason, qualification),
    };
  }
}

const hasGuestPhysicalAddress = (reason: number): boolean =>
  (reason & 0xffff) === EXIT_REASON.EPT_VIOLATION || (reason & 0xffff) === EXIT_REASON.EPT_MISCONFIG;

/** Groups the charges by stage and operation, in order of first appearance; what nobody charged is time given away. */
function stagesOf(log: readonly number[], cycles: number): StageRecord[] {
  const stages = new Map<number, Map<number, { count: number; cycles: number }>>();
  let charged = 0;
  for (let index = 0; index < log.length; index += LedgerAccount.LOG_STRIDE) {
    const stage = log[index]!;
    const operation = log[index + 1]!;
    let operations = stages.get(stage);
    if (operations === undefined) {
      operations = new Map();
      stages.set(stage, operations);
    }
    const sum = operations.get(operation) ?? { count: 0, cycles: 0 };
    sum.count += log[index + 2]!;
    sum.cycles += log[index + 3]!;
    charged += log[index + 3]!;
    operations.set(operation, sum);
  }
  const records = [...stages].map(([stage, operations]): StageRecord => {
    const list = [...operations].map(
      ([number, sum]): ChargedOperation => ({ name: OPERATION_NAMES[number]!, ...sum }),
    );
    return {
      name: STAGE_NAMES[stage]!,
      cycles: list.reduce((sum, o) => sum + o.cycles, 0),
      operations: list,
    };
  });
  return charged === cycles ? records : withGivenAwayTime(records, cycles - charged);
}

/** Cycles that other threads and the idle loop used while this vCPU's thread did not run. */
function withGivenAwayTime(records: readonly StageRecord[], cycles: number): StageRecord[] {
  const away: ChargedOperation = { name: 'other threads and idle', count: 1, cycles };
  const name = STAGE_NAMES[STAGE.BLOCKED]!;
  if (!records.some((record) => record.name === name))
    return [...records, { name, cycles, operations: [away] }];
  return records.map((record) =>
    record.name === name
      ? { name, cycles: record.cycles + cycles, operations: [...record.operations, away] }
      : record,
  );
}
