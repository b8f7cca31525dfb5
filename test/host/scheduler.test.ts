import { describe, expect, it } from 'vitest';
import { MSR } from '../../src/architecture/msrs.js';
import { operation } from '../../src/host/cost/operations.js';
import { type ThreadBody, TIF } from '../../src/host/host-thread.js';
import {
  enterKernelMode,
  HostInvariantError,
  returnToUserMode,
  useFpuInUserMode,
} from '../../src/host/user-mode.js';
import { createHost } from './host-machine.js';

const WORK = operation('kernel thread work');

describe('the scheduler', () => {
  it('lets idle time pass until the next event, and charges it', () => {
    const { host, cpu } = createHost();
    const times: number[] = [];
    const thread = host.startThread({
      name: 'sleeper',
      cpu,
      *body(): ThreadBody {
        cpu.cpu.events.schedule(cpu.cpu.now + 50_000, () => host.scheduler.wake(thread));
        times.push(cpu.cpu.now);
        yield 'block';
        times.push(cpu.cpu.now);
      },
    });
    expect(host.scheduler.run()).toBe('finished');
    expect(times[1]! - times[0]!).toBeGreaterThanOrEqual(50_000);
    host.verifyLedger();
    expect(cpu.idle.account.count(operation('idle'))).toBe(1);
  });

  it('says when nothing can ever happen', () => {
    const { host, cpu } = createHost();
    host.startThread({
      name: 'waits forever',
      cpu,
      *body(): ThreadBody {
        yield 'block';
      },
    });
    expect(host.scheduler.run()).toBe('idle');
    host.verifyLedger();
  });

  it('ends the slice of a thread when another waits', () => {
    const { host, cpu } = createHost({ timeSliceInCycles: 10_000 });
    const order: string[] = [];
    const worker = (name: string): void => {
      const thread = host.startThread({
        name,
        cpu,
        *body(): ThreadBody {
          for (let step = 0; step < 30; step++) {
            cpu.cpu.chargeCycles(WORK, 1, 1_000);
            cpu.cpu.takeInterrupts();
            if (order.at(-1) !== name) order.push(name);
            if (thread.hasFlag(TIF.NEED_RESCHED)) yield 'reschedule';
          }
        },
      });
    };
    worker('a');
    worker('b');
    host.scheduler.run();
    host.verifyLedger();
    expect(order.slice(0, 4)).toEqual(['a', 'b', 'a', 'b']);
  });

  it('stops at a limit of virtual time and goes on', () => {
    const { host, cpu } = createHost();
    host.startThread({
      name: 'busy',
      cpu,
      *body(): ThreadBody {
        for (;;) {
          cpu.cpu.chargeCycles(WORK, 1, 1_000);
          yield 'pause';
        }
      },
    });
    expect(host.scheduler.run({ untilCycles: 10_000 })).toBe('limit');
    expect(cpu.cpu.now).toBeGreaterThanOrEqual(10_000);
    expect(cpu.cpu.now).toBeLessThan(12_000);
    expect(host.scheduler.run({ untilCycles: 20_000 })).toBe('limit');
    host.verifyLedger();
  });

  it('saves and restores the FPU of threads that use it', () => {
    const { host, cpu } = createHost();
    const image = (byte: number): Uint8Array => new Uint8Array(512).fill(byte);
    const user = (name: string, byte: number): void => {
      host.startThread({
        name,
        cpu,
        *body(thread): ThreadBody {
          for (let round = 0; round < 3; round++) {
            returnToUserMode(cpu, thread);
            useFpuInUserMode(cpu, thread, image(byte + round));
            enterKernelMode(cpu);
            yield 'reschedule';
          }
          returnToUserMode(cpu, thread);
          enterKernelMode(cpu);
        },
      });
    };
    user('a', 0x10);
    user('b', 0x80);
    expect(host.scheduler.run()).toBe('finished');
    // Two threads, three times each: all but the very first use found CR0.TS set by a switch.
    const used = host.ledger.accounts.reduce((sum, account) => sum + account.count(operation('host #NM')), 0);
    expect(used).toBe(6);
  });

  it('is deterministic over several CPUs', () => {
    const trace = (): string[] => {
      const { host } = createHost({ cpus: 3 });
      const log: string[] = [];
      for (const [number, cpu] of host.cpus.entries())
        host.startThread({
          name: `worker ${number}`,
          cpu,
          *body(): ThreadBody {
            for (let step = 0; step < 20; step++) {
              cpu.cpu.chargeCycles(WORK, 1, 1_000 * (number + 1));
              log.push(`${number}@${cpu.cpu.now}`);
              yield 'pause';
            }
          },
        });
      host.scheduler.run();
      host.verifyLedger();
      return log;
    };
    const first = trace();
    expect(first).toHaveLength(60);
    expect(trace()).toEqual(first);
    // No CPU runs ahead: the slowest worker's first step comes before the fastest one's last.
    expect(first.findIndex((entry) => entry.startsWith('2'))).toBeLessThan(20);
  });
});

describe('the way to user mode', () => {
  it.each([
    ['a syscall MSR', MSR.LSTAR],
    ['the user’s FS base', MSR.FS_BASE],
    ['the user’s GS base', MSR.KERNEL_GS_BASE],
    ['EFER', MSR.EFER],
  ])('is refused while %s is not the host’s', (_what, index) => {
    const { host, cpu } = createHost();
    host.startThread({
      name: 'user',
      cpu,
      *body(thread): ThreadBody {
        cpu.cpu.wrmsr(index, cpu.cpu.peekMsr(index) + 0x1000n);
        yield 'reschedule';
        returnToUserMode(cpu, thread);
      },
    });
    expect(() => host.scheduler.run()).toThrow(HostInvariantError);
  });

  it('is refused while the FPU holds foreign contents', () => {
    const { host, cpu } = createHost();
    host.startThread({
      name: 'user',
      cpu,
      *body(thread): ThreadBody {
        cpu.cpu.clts();
        cpu.cpu.fxrstor(new Uint8Array(512).fill(3));
        yield 'reschedule';
        returnToUserMode(cpu, thread);
      },
    });
    expect(() => host.scheduler.run()).toThrow(/FPU registers/);
  });

  it('runs the notifiers that wait for it, on whichever thread goes first', () => {
    const { host, cpu } = createHost();
    const fired: string[] = [];
    host.startThread({
      name: 'leaves something behind',
      cpu,
      isKernelThread: true,
      *body(): ThreadBody {
        const notifier = {
          onUserReturn: () => {
            fired.push(cpu.current.name);
            cpu.unregisterUserReturnNotifier(notifier);
          },
        };
        cpu.registerUserReturnNotifier(notifier);
        yield 'reschedule';
      },
    });
    host.startThread({
      name: 'pays',
      cpu,
      *body(thread): ThreadBody {
        returnToUserMode(cpu, thread);
        enterKernelMode(cpu);
        yield 'reschedule';
        returnToUserMode(cpu, thread);
        enterKernelMode(cpu);
      },
    });
    host.scheduler.run();
    expect(fired).toEqual(['pays']);
  });
});
