/** The user-space side of a VM: its devices behind their ports, and what becomes of exits that are no access. */

import { DebugConsole } from '../devices/debug-console.js';
import { DebugExit } from '../devices/debug-exit.js';
import type { Device, InterruptLine } from '../devices/device.js';
import { PostPort } from '../devices/post-port.js';
import { Serial16550 } from '../devices/serial-16550.js';
import { KeyboardControllerCommand, ResetControl } from '../devices/system-reset.js';
import type { KvmExit } from '../kvm/kvm-exit.js';
import type { UserSpaceMonitor } from '../kvm/user-space-monitor.js';
import { PORT } from './memory-map.js';
import type { RunEnd } from './virtual-machine.js';

interface PortRange {
  readonly first: number;
  readonly length: number;
  readonly name: string;
  readonly device: Device;
}

export interface UserSpaceOptions {
  /** Receives what the guest sends through serial port and debug console. */
  readonly output: (byte: number) => void;
  /** Interrupt line of the serial port. */
  readonly serialInterrupt: InterruptLine;
  /** Why VM entry failed, in words. */
  readonly describeEntryFailure: () => string;
}

/** An exit that the hypervisor layer can't handle and user space neither: nothing of the guest's doing. */
export class UnhandledExitError extends Error {
  readonly code = 'unimplemented-feature';
  readonly exit: KvmExit;

  constructor(exit: KvmExit, what: string) {
    super(`${what} is not implemented`);
    this.name = 'UnhandledExitError';
    this.exit = exit;
  }
}

export class UserSpaceDevices implements UserSpaceMonitor {
  /** How the guest ended, once it has. */
  end: RunEnd | undefined;
  private readonly ranges: readonly PortRange[];
  private readonly describeEntryFailure: () => string;

  constructor({ output, serialInterrupt, describeEntryFailure }: UserSpaceOptions) {
    this.describeEntryFailure = describeEntryFailure;
    const reset = (): void => this.finish({ reason: 'reset' });
    const range = (first: number, length: number, name: string, device: Device): PortRange => ({
      first,
      length,
      name,
      device,
    });
    this.ranges = [
      range(PORT.SERIAL, 8, 'serial port', new Serial16550({ output, interruptLine: serialInterrupt })),
      range(PORT.DEBUG_CONSOLE, 1, 'debug console', new DebugConsole(output)),
      range(PORT.POST, 1, 'POST code', new PostPort()),
      range(PORT.KEYBOARD_COMMAND, 1, 'keyboard controller', new KeyboardControllerCommand(reset)),
      range(PORT.RESET, 1, 'reset control', new ResetControl(reset)),
      range(
        PORT.DEBUG_EXIT,
        4,
        'debug exit',
        new DebugExit((exitCode) => this.finish({ reason: 'guest-exit', exitCode })),
      ),
    ];
  }

  get stopped(): boolean {
    return this.end !== undefined;
  }

  describePort(port: number): string {
    return this.rangeOf(port)?.name ?? 'no device';
  }

  readPort(port: number, sizeInBytes: number): number {
    const range = this.rangeOf(port);
    if (range === undefined) return 2 ** (8 * sizeInBytes) - 1;
    return range.device.read(port - range.first, sizeInBytes);
  }

  writePort(port: number, sizeInBytes: number, value: number): void {
    const range = this.rangeOf(port);
    range?.device.write(port - range.first, sizeInBytes, value);
  }

  /** Nothing answers at unassigned addresses: all ones. */
  readMmio(_guestPhysicalAddress: number, sizeInBytes: number): bigint {
    return (1n << BigInt(8 * sizeInBytes)) - 1n;
  }

  writeMmio(): void {}

  handleExit(_vcpu: number, exit: KvmExit): boolean {
    switch (exit.reason) {
      case 'shutdown':
        this.finish({ reason: 'shutdown' });
        return false;
      case 'hlt':
        this.finish({ reason: 'halted' });
        return false;
      case 'fail-entry':
        this.finish({ reason: 'entry-failure', detail: this.describeEntryFailure() });
        return false;
      case 'unknown':
        throw new UnhandledExitError(exit, `VM exit with reason ${exit.hardwareReason}`);
      case 'internal-error':
        throw new UnhandledExitError(exit, describeFailure(exit.failure));
      default:
        return true;
    }
  }

  private finish(end: RunEnd): void {
    this.end ??= end;
  }

  private rangeOf(port: number): PortRange | undefined {
    return this.ranges.find(({ first, length }) => port >= first && port < first + length);
  }
}

function describeFailure({
  rip,
  bytes,
  mnemonic,
}: Extract<KvmExit, { reason: 'internal-error' }>['failure']): string {
  const digits = [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(' ');
  const place = `at 0x${rip.toString(16)}`;
  return mnemonic === undefined
    ? `running code from where there is no memory (${digits === '' ? 'nothing to fetch' : digits} ${place})`
    : `emulation of ${mnemonic} (${digits}) ${place}`;
}
