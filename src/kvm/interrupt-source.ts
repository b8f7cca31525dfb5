/** Devices whose interrupts a kernel thread raises (irqfd, vhost): each takes the way through the routing table. */

import type { Host } from '../host/host.js';
import type { HostCpu } from '../host/host-cpu.js';
import type { HostThread, ThreadBody } from '../host/host-thread.js';
import { STAGE } from '../host/stages.js';
import { compute } from '../host/workload.js';
import type { InKernelIrqchip } from './irqchip/in-kernel-irqchip.js';

export interface InterruptSourceOptions {
  readonly name: string;
  readonly host: Host;
  readonly cpu: HostCpu;
  readonly irqchip: Pick<InKernelIrqchip, 'setIrq'>;
  /** A GSI that is routed to a message, or to a pin set to edges. */
  readonly gsi: number;
  /** Work of the thread until the next interrupt, in cycles. */
  readonly cyclesUntilNext: () => number;
  /** Called after each interrupt with the cycles that raising it took. */
  readonly raised?: (cycles: number) => void;
}

/** Starts a kernel thread that raises interrupts for as long as the simulation runs. */
export function startInterruptSource(options: InterruptSourceOptions): HostThread {
  return options.host.startThread({
    name: options.name,
    cpu: options.cpu,
    isKernelThread: true,
    daemon: true,
    body: (thread) => raiseInterrupts(thread, options),
  });
}

function* raiseInterrupts(
  thread: HostThread,
  { name, host, irqchip, gsi, cyclesUntilNext, raised }: InterruptSourceOptions,
): ThreadBody {
  thread.account.setStage(STAGE.HOST_INTERRUPT);
  const { scheduler } = host;
  for (;;) {
    yield* compute(scheduler, thread, cyclesUntilNext());
    while (!scheduler.cpuOf(thread).cpu.isInOrder) yield 'pause';
    const { cpu } = scheduler.cpuOf(thread);
    const before = cpu.now;
    // An edge: up and down again (irqfd_inject).
    irqchip.setIrq(name, gsi, true);
    irqchip.setIrq(name, gsi, false);
    raised?.(cpu.now - before);
  }
}
