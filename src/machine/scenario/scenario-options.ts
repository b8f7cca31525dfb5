/** What a scenario consists of: a host, virtual machines on it, and what else runs there. Times are virtual cycles. */

import type { CostModel } from '../../host/cost/cost-model.js';
import type { PeriodicWork } from '../../host/workload.js';
import type { Era, Policies } from '../../kvm/policies.js';
import type { UserSpaceMonitor } from '../../kvm/user-space-monitor.js';
import type { TraceSink } from '../../trace/events.js';
import type { GuestImage } from '../guest-image.js';
import type { ProcessorModel } from '../processor-models.js';

export interface Topology {
  readonly sockets: number;
  readonly coresPerSocket: number;
}

/**
 * Host CPUs of a VM's vCPUs: `own` takes the next free one for each (and wraps around when there are no more), `shared`
 * puts all of them on the first CPU of the VM, a list names them one by one.
 */
export type Placement = 'own' | 'shared' | readonly number[];

export interface ScenarioVm {
  readonly image: GuestImage;
  /** For thread names and results; default `VM 0`, `VM 1`, … */
  readonly name?: string;
  /** Guest RAM in bytes, a multiple of 4096. Default `DEFAULT_MEMORY_BYTES`. */
  readonly memoryBytes?: number;
  /** 1 to 255, default 1. All but the first wait for their start-up message. */
  readonly vcpus?: number;
  readonly placement?: Placement;
  /** Instead of the scenario's. */
  readonly era?: Era;
  readonly policies?: Partial<Policies>;
  readonly trace?: TraceSink;
  readonly serialOutput?: (byte: number) => void;
  /** A VGA whose window at 0xa0000 is mapped and unmapped by memory slots; RAM is in two slots then. */
  readonly vgaWindow?: boolean;
  /** Wraps or replaces the devices in user space. */
  readonly monitor?: (devices: UserSpaceMonitor) => UserSpaceMonitor;
}

export interface ScenarioThread extends PeriodicWork {
  readonly name: string;
  /** Number of the host CPU. */
  readonly cpu: number;
}

export interface ScenarioProcess extends ScenarioThread {
  readonly usesFpu?: boolean;
}

/** The thread of a vCPU is moved to another CPU at a point of virtual time. */
export interface ScenarioMigration {
  readonly vm: number;
  readonly vcpu: number;
  readonly at: number;
  readonly toCpu: number;
}

export interface ScenarioOptions {
  /** What the host's processors can do; default `nehalem`. APIC virtualisation needs `ivy-bridge-ep`. */
  readonly processor?: ProcessorModel;
  /** Default: one socket with one core. */
  readonly topology?: Topology;
  /** Default: the talk's i7. */
  readonly costModel?: CostModel;
  /** Bundle of policies of all VMs; single ones can be replaced. */
  readonly era?: Era;
  readonly policies?: Partial<Policies>;
  readonly vms: readonly ScenarioVm[];
  /** Threads of the host kernel: woken, at work, asleep (vhost), never in user mode. */
  readonly kernelThreads?: readonly ScenarioThread[];
  /** Other processes of the host. QEMU's main loop is one, too. */
  readonly processes?: readonly ScenarioProcess[];
  readonly migrations?: readonly ScenarioMigration[];
  /** Time that a thread may run while others wait; by default 4 ms. */
  readonly timeSliceInCycles?: number;
  /** HZ of the host kernel, default 1000. */
  readonly ticksPerSecond?: number;
}
