/**
 * The instruction emulator (arch/x86/kvm/emulate.c of the 2.6 kernels, called by emulate_instruction): set up, fetch
 * through the guest's page tables, decode, execute, write back. One per vCPU.
 */

import { SEGMENT } from '../../architecture/registers.js';
import { RFLAGS } from '../../architecture/rflags.js';
import { DecodeStatus, decode, MAXIMUM_LENGTH } from '../../decoder/index.js';
import { operation } from '../../host/cost/operations.js';
import type { Instruction } from '../../instruction-set/index.js';
import type { InKernelBus } from '../contracts.js';
import type { Policies } from '../policies.js';
import { DecodeCache } from './decode-cache.js';
import type { EmulatedVcpu } from './emulated-vcpu.js';
import { Emulation } from './emulation.js';
import type { EmulationResult } from './emulation-result.js';
import { handlerOf } from './handlers.js';
import { LinearAccess, type LinearAccessOptions } from './linear-access.js';
import { EmulatedFault, UserSpaceReadNeeded } from './signals.js';

const SET_UP = operation('emulator set-up');
const DECODE = operation('emulator decode');
const EXECUTE = operation('emulator execute');
const WRITE_BACK = operation('emulator write-back');
const LEAN_SET_UP = operation('emulator lean set-up');
const LEAN_DECODE = operation('emulator lean decode');
const LEAN_WRITE_BACK = operation('emulator lean write-back');
const DECODE_CACHE = operation('emulator decode-cache look-up');

const DONE: EmulationResult = { kind: 'done' };
const FAULT: EmulationResult = { kind: 'fault' };
/** Bits of CS access rights in the VMCS (SDM Vol. 3C, Table 25-2): L and D/B. */
const CODE_64 = 1 << 13;
const CODE_32 = 1 << 14;

/** `completeMmio` or `completePort` was called without such an access under way: a mistake of the caller. */
export class EmulatorStateError extends Error {
  readonly code = 'emulator-state';
  constructor(expected: string) {
    super(`the emulator is not waiting for ${expected}`);
    this.name = 'EmulatorStateError';
  }
}

export interface EmulatorOptions extends LinearAccessOptions {
  readonly ports: InKernelBus;
  /** By default 'full'. */
  readonly policy?: Policies['instructionEmulation'];
}

export class Emulator {
  private readonly vcpu: EmulatedVcpu;
  private readonly memory: LinearAccess;
  private readonly emulation: Emulation;
  private readonly bytes = new Uint8Array(MAXIMUM_LENGTH);
  private readonly lean: boolean;
  private readonly decodeCache: DecodeCache | undefined;
  private flagsBefore = 0;
  private waitingFor: 'nothing' | 'MMIO read' | 'MMIO write' | 'port read' | 'port write' = 'nothing';

  constructor(options: EmulatorOptions) {
    this.vcpu = options.vcpu;
    this.memory = new LinearAccess(options);
    this.emulation = new Emulation(options.vcpu, this.memory, options.ports);
    this.lean = options.policy === 'lean';
    this.decodeCache = options.policy === 'decode-cache' ? new DecodeCache() : undefined;
  }

  /** Emulates the instruction at the vCPU's RIP. */
  emulate(): EmulationResult {
    this.memory.begin();
    return this.run();
  }

  /**
   * User space has made the MMIO access of the last result.
   * @param data the value read; without meaning after a write
   * @throws EmulatorStateError when no MMIO access is under way
   */
  completeMmio(data: bigint): EmulationResult {
    if (this.waitingFor === 'MMIO read') {
      // As KVM does it, the instruction is emulated again from the start, now with the value at hand.
      this.memory.restart(data);
      return this.run();
    }
    if (this.waitingFor !== 'MMIO write') throw new EmulatorStateError('MMIO');
    this.memory.userSpaceWrites.shift();
    return this.nextUserSpaceAccess();
  }

  /**
   * User space has made the port access of the last result.
   * @param data count × size bytes read; without meaning after a write
   * @throws EmulatorStateError when no port access is under way
   */
  completePort(data: Uint8Array): EmulationResult {
    const { emulation } = this;
    if (this.waitingFor !== 'port read' && this.waitingFor !== 'port write')
      throw new EmulatorStateError('a port');
    const wasRead = this.waitingFor === 'port read';
    this.waitingFor = 'nothing';
    emulation.portAccess = undefined;
    if (!wasRead) return DONE;
    return this.catching(() => {
      emulation.finishPortRead?.(data);
      this.writeBack();
      return this.nextUserSpaceAccess();
    });
  }

  private run(): EmulationResult {
    this.waitingFor = 'nothing';
    return this.catching(() => this.runInstruction());
  }

  private runInstruction(): EmulationResult {
    const { emulation, vcpu } = this;
    this.setUp();
    const length = this.fetchAndDecode();
    const handler = length === 0 ? undefined : handlerOf(emulation.instruction.encoding);
    if (handler === undefined) return this.failure(length);
    vcpu.charge(EXECUTE);
    handler(emulation);
    if (emulation.portAccess !== undefined && !emulation.portAccess.write) {
      // Nothing is written back before the data is there.
      this.waitingFor = 'port read';
      return { kind: 'user-space port', access: emulation.portAccess };
    }
    this.writeBack();
    return this.nextUserSpaceAccess();
  }

  private catching(body: () => EmulationResult): EmulationResult {
    try {
      return body();
    } catch (signal) {
      if (signal instanceof UserSpaceReadNeeded) {
        this.waitingFor = 'MMIO read';
        return { kind: 'user-space MMIO', access: signal.access };
      }
      if (!(signal instanceof EmulatedFault)) throw signal;
      const { vcpu } = this;
      if (signal.linearAddress !== undefined)
        vcpu.injectPageFault(signal.linearAddress, signal.errorCode ?? 0);
      else vcpu.injectException(signal.vector, signal.errorCode);
      return FAULT;
    }
  }

  /**
   * init_emulate_ctxt: RIP, RFLAGS, mode; of 2.6 also a clean decode structure and a copy of all registers, RSP included.
   * Since 2014 only what the decoder does not write is cleared, and since dd856efafe60 registers are fetched on demand.
   */
  private setUp(): void {
    const { vcpu, emulation } = this;
    vcpu.charge(this.lean ? LEAN_SET_UP : SET_UP);
    emulation.instructionRip = vcpu.rip;
    if (this.lean) emulation.forgetRegisters();
    else emulation.copyRegisters();
    emulation.flags = vcpu.readRflags();
    this.flagsBefore = emulation.flags;
    const codeRights = vcpu.segmentAccessRights(SEGMENT.CS);
    emulation.codeSize = codeRights & CODE_64 ? 64 : codeRights & CODE_32 ? 32 : 16;
    this.memory.user = vcpu.readPrivilegeLevel() === 3;
    emulation.portAccess = undefined;
    emulation.finishPortRead = undefined;
  }

  /** Length of the instruction, 0 when it could not be decoded. */
  private fetchAndDecode(): number {
    const { emulation, bytes, memory } = this;
    const { codeSize, instructionRip } = emulation;
    const start = emulation.linear(SEGMENT.CS, instructionRip);
    const available = memory.fetch(start, bytes, 0, MAXIMUM_LENGTH);
    const instruction = this.decode(start, available);
    if (instruction === undefined) return 0;
    emulation.instruction = instruction;
    const next = instructionRip + BigInt(instruction.length);
    emulation.rip = codeSize === 64 ? next : BigInt.asUintN(32, next);
    return instruction.length;
  }

  /** The instruction whose first `available` bytes have been fetched, undefined for bytes that are none. */
  private decode(start: bigint, available: number): Instruction | undefined {
    const { vcpu, emulation, bytes, memory, decodeCache } = this;
    const { codeSize, decoded } = emulation;
    if (decodeCache !== undefined) {
      vcpu.charge(DECODE_CACHE);
      const known = decodeCache.find(start, codeSize, bytes, available);
      if (known !== undefined) return known;
    }
    vcpu.charge(this.lean ? LEAN_DECODE : DECODE);
    let status = decode(bytes, 0, available, codeSize, decoded);
    if (status === DecodeStatus.NEEDS_MORE && available > 0) {
      // The instruction goes on in the next page.
      const end = available + memory.fetch(start + BigInt(available), bytes, available, MAXIMUM_LENGTH);
      status = decode(bytes, 0, end, codeSize, decoded);
    }
    if (status !== DecodeStatus.OK) return undefined;
    decodeCache?.keep(start, codeSize, bytes, decoded);
    return decoded;
  }

  private failure(length: number): EmulationResult {
    const { emulation } = this;
    return {
      kind: 'failed',
      rip: emulation.instructionRip,
      bytes: this.bytes.slice(0, length || MAXIMUM_LENGTH),
      mnemonic: length === 0 ? undefined : emulation.instruction.encoding.mnemonic,
    };
  }

  private writeBack(): void {
    const { vcpu, emulation, lean } = this;
    vcpu.charge(lean ? LEAN_WRITE_BACK : WRITE_BACK);
    // The exit saved RF as 1, so that the instruction could start again; once complete it leaves RF clear.
    const complete = emulation.rip !== emulation.instructionRip;
    const flags = complete ? emulation.flags & ~RFLAGS.RF : emulation.flags;
    if (!lean || flags !== this.flagsBefore) vcpu.writeRflags(flags);
    vcpu.clearInterruptShadow();
    if (lean) emulation.returnWrittenRegisters();
    else emulation.returnRegisters();
    vcpu.rip = emulation.rip;
  }

  /** What is left to user space once the instruction has been written back. */
  private nextUserSpaceAccess(): EmulationResult {
    const access = this.memory.userSpaceWrites[0];
    if (access !== undefined) {
      this.waitingFor = 'MMIO write';
      return { kind: 'user-space MMIO', access };
    }
    if (this.emulation.portAccess !== undefined) {
      this.waitingFor = 'port write';
      return { kind: 'user-space port', access: this.emulation.portAccess };
    }
    this.waitingFor = 'nothing';
    return DONE;
  }
}
