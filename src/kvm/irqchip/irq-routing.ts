/** Which pins of the interrupt controllers a global system interrupt is wired to (virt/kvm/irq_comm.c). */

import { DELIVERY_MODE, type InterruptMessage, SHORTHAND } from '../../devices/interrupt-message.js';
import type { HostThread, ThreadRequest } from '../../host/host-thread.js';
import { HostInvariantError } from '../../host/user-mode.js';
import type { IrqRoutingProtection } from './irq-routing-protection.js';

/** A GSI wired to a pin of a chip, or to a message that devices send to the local APICs (message-signalled interrupts). */
export type IrqRoute =
  | { readonly gsi: number; readonly chip: 'PIC' | 'IO-APIC'; readonly pin: number }
  | { readonly gsi: number; readonly chip: 'MSI'; readonly message: InterruptMessage };

/** A GSI whose interrupts are fixed messages to one local APIC, as a queue of a device sends them. */
export const messageRoute = (gsi: number, vector: number, apicId: number): IrqRoute => ({
  gsi,
  chip: 'MSI',
  message: {
    vector,
    deliveryMode: DELIVERY_MODE.FIXED,
    destination: apicId,
    logicalDestination: false,
    shorthand: SHORTHAND.NONE,
    levelTriggered: false,
    assert: true,
  },
});

const PIC_PINS = 16;
const IO_APIC_PINS = 24;

/** KVM's own table: GSI n is pin n of both chips as far as they have one (default_routing). */
export const DEFAULT_ROUTING: readonly IrqRoute[] = [
  ...Array.from({ length: PIC_PINS }, (_, pin): IrqRoute => ({ gsi: pin, chip: 'PIC', pin })),
  ...Array.from({ length: IO_APIC_PINS }, (_, pin): IrqRoute => ({ gsi: pin, chip: 'IO-APIC', pin })),
];

interface RoutingTable {
  readonly byGsi: ReadonlyMap<number, readonly IrqRoute[]>;
  /** Replaced, and nobody may use it any more. */
  freed: boolean;
}

/** Lines shared by several sources are asserted while any of them asserts (irq_states, a wired OR). */
export class IrqRouting {
  private table: RoutingTable = { byGsi: new Map(), freed: false };
  private readonly asserted = new Map<number, Set<string>>();
  private readonly signal: (route: IrqRoute, level: boolean) => void;
  private readonly protection: IrqRoutingProtection | undefined;

  /**
   * @param signal sets a pin or sends a message
   * @param protection undefined where nothing else runs
   */
  constructor(
    signal: (route: IrqRoute, level: boolean) => void,
    routes: readonly IrqRoute[] = DEFAULT_ROUTING,
    protection?: IrqRoutingProtection,
  ) {
    this.signal = signal;
    this.protection = protection;
    this.replace(routes);
  }

  /** KVM_SET_GSI_ROUTING while the VM runs: returns when the old table is free. */
  *update(thread: HostThread, routes: readonly IrqRoute[]): Generator<ThreadRequest, undefined, void> {
    const old = this.table;
    yield* this.protection?.update(thread, () => this.replace(routes)) ?? [];
    old.freed = true;
    return undefined;
  }

  /** Publishes a new table, before the VM runs. */
  replace(routes: readonly IrqRoute[]): void {
    const byGsi = new Map<number, IrqRoute[]>();
    for (const route of routes) {
      const wired = byGsi.get(route.gsi);
      if (wired === undefined) byGsi.set(route.gsi, [route]);
      else wired.push(route);
    }
    this.table = { byGsi, freed: false };
  }

  /**
   * kvm_set_irq.
   * @param source who drives the line: levels of different sources are ORed
   */
  setIrq(source: string, gsi: number, level: boolean): void {
    let sources = this.asserted.get(gsi);
    if (sources === undefined) {
      sources = new Set();
      this.asserted.set(gsi, sources);
    }
    if (level) sources.add(source);
    else sources.delete(source);
    const { protection } = this;
    protection?.beginDelivery();
    protection?.beginLookUp();
    if (this.table.freed) throw new HostInvariantError('the interrupt routing table', 'freed', 'in use');
    const routes = this.table.byGsi.get(gsi) ?? [];
    protection?.endLookUp();
    for (const route of routes) this.signal(route, sources.size > 0);
    protection?.endDelivery();
  }
}
