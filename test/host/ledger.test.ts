import { describe, expect, it } from 'vitest';
import { OPERATION_NAMES, operation } from '../../src/host/cost/operations.js';
import { Ledger, LedgerError, NO_EXIT } from '../../src/host/ledger.js';
import { STAGE } from '../../src/host/stages.js';

const VMREAD = operation('VMREAD');
const WRMSR = operation('WRMSR');

describe('Ledger', () => {
  it('keeps cycles and counts by exit reason, stage and operation', () => {
    const ledger = new Ledger();
    const account = ledger.open('vCPU 0');
    account.add(VMREAD, 2, 60);
    account.setReason(30);
    account.setStage(STAGE.EXIT_HANDLER);
    account.add(VMREAD, 1, 30);
    account.add(VMREAD, 1, 30);
    account.setStage(STAGE.HOST_STATE_RESTORED);
    account.add(WRMSR, 5, 800);
    expect([...account.entries()]).toEqual([
      { reason: 30, stage: STAGE.EXIT_HANDLER, operation: VMREAD, count: 2, cycles: 60 },
      { reason: 30, stage: STAGE.HOST_STATE_RESTORED, operation: WRMSR, count: 5, cycles: 800 },
      { reason: NO_EXIT, stage: STAGE.GUEST, operation: VMREAD, count: 2, cycles: 60 },
    ]);
    expect(account.count(VMREAD)).toBe(4);
    expect(account.count(VMREAD, 30)).toBe(2);
    expect(ledger.total).toBe(920);
  });

  it('multiplies counts by prices, and keeps what was measured beside them', () => {
    const prices = new Float64Array(OPERATION_NAMES.length);
    prices[VMREAD] = 30;
    const account = new Ledger(prices).open('vCPU 0');
    account.charge(VMREAD, 2);
    account.charge(VMREAD, 1);
    account.add(VMREAD, 1, 100);
    account.add(WRMSR, 1, 7);
    expect([...account.entries()].map(({ count, cycles }) => [count, cycles])).toEqual([
      [4, 190],
      [1, 7],
    ]);
    expect(account.total).toBe(197);
  });

  it('says when time passed that nobody was charged for', () => {
    const ledger = new Ledger();
    ledger.open('vCPU 0').add(VMREAD, 1, 30);
    ledger.open('idle').add(VMREAD, 1, 30);
    ledger.verify(60);
    expect(() => ledger.verify(61)).toThrow(LedgerError);
  });

  it('logs the order of charges only while somebody listens', () => {
    const account = new Ledger().open('vCPU 0');
    account.add(VMREAD, 1, 30);
    account.log = [];
    account.setStage(STAGE.GUEST_ENTRY);
    account.add(WRMSR, 1, 163);
    expect(account.log).toEqual([STAGE.GUEST_ENTRY, WRMSR, 1, 163]);
  });

  it('keeps the distribution of exit durations', () => {
    const account = new Ledger().open('vCPU 0');
    account.finishExit(10, 100);
    account.finishExit(10, 300);
    expect(account.exits[10]).toEqual({
      samples: 2,
      total: 400,
      minimum: 100,
      maximum: 300,
      sumOfSquares: 100_000,
    });
  });
});
