/** Which pins of the interrupt controllers a global system interrupt is wired to (virt/kvm/irq_comm.c). */

export interface IrqRoute {
  readonly gsi: number;
  readonly chip: 'PIC' | 'IO-APIC';
  readonly pin: number;
}

const PIC_PINS = 16;
const IO_APIC_PINS = 24;

/** KVM's own table: GSI n is pin n of both chips as far as they have one (default_routing). */
export const DEFAULT_ROUTING: readonly IrqRoute[] = [
  ...Array.from({ length: PIC_PINS }, (_, pin): IrqRoute => ({ gsi: pin, chip: 'PIC', pin })),
  ...Array.from({ length: IO_APIC_PINS }, (_, pin): IrqRoute => ({ gsi: pin, chip: 'IO-APIC', pin })),
];

/** Lines shared by several sources are asserted while any of them asserts (irq_states, a wired OR). */
export class IrqRouting {
  private routes: ReadonlyMap<number, readonly IrqRoute[]> = new Map();
  private readonly asserted = new Map<number, Set<string>>();
  private readonly setPin: (route: IrqRoute, level: boolean) => void;

  constructor(
    setPin: (route: IrqRoute, level: boolean) => void,
    routes: readonly IrqRoute[] = DEFAULT_ROUTING,
  ) {
    this.setPin = setPin;
    this.replace(routes);
  }

  /** Publishes a new table (KVM_SET_GSI_ROUTING). */
  replace(routes: readonly IrqRoute[]): void {
    const byGsi = new Map<number, IrqRoute[]>();
    for (const route of routes) {
      const wired = byGsi.get(route.gsi);
      if (wired === undefined) byGsi.set(route.gsi, [route]);
      else wired.push(route);
    }
    this.routes = byGsi;
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
    for (const route of this.routes.get(gsi) ?? []) this.setPin(route, sources.size > 0);
  }
}
