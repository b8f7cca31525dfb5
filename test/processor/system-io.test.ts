import { describe, expect, it } from 'vitest';
import { GPR, SEGMENT } from '../../src/architecture/registers.js';
import { RFLAGS } from '../../src/architecture/rflags.js';
import { VECTOR } from '../../src/architecture/vectors.js';
import { skipNote } from '../support/tools.js';
import { LAYOUT, RecordingIntercepts, SystemGuest } from './system-guest.js';

const skipped = skipNote('nasm');

function guestWithPorts(): { guest: SystemGuest; log: string[] } {
  const log: string[] = [];
  let next = 0;
  const guest = new SystemGuest({
    ports: {
      read: (port, size) => {
        log.push(`in ${port.toString(16)}/${size}`);
        next = (next * 5 + 0x81828384) >>> 0;
        return size === 4 ? next : next & ((1 << (8 * size)) - 1);
      },
      write: (port, size, value) => {
        log.push(`out ${port.toString(16)}/${size}=${value.toString(16)}`);
      },
    },
  });
  guest.state.writeGpr(GPR.RAX, 0x1122334455667788n);
  guest.state.writeGpr(GPR.RDX, 0xffff_0000_0000_03f8n);
  return { guest, log };
}

describe.skipIf(skipped !== '')(`port I/O (SDM Vol. 2: IN, OUT, INS, OUTS)${skipped}`, () => {
  it.each([
    ['in al, 0x60', 'in 60/1', 0x1122334455667784n],
    ['in ax, dx', 'in 3f8/2', 0x1122334455668384n],
    ['in eax, dx', 'in 3f8/4', 0x81828384n],
  ])('%s', (text, access, rax) => {
    const { guest, log } = guestWithPorts();
    guest.step(text);
    expect(log).toEqual([access]);
    expect(guest.state.readGpr(GPR.RAX)).toBe(rax);
  });

  it.each([
    ['out 0x80, al', 'out 80/1=88'],
    ['out dx, ax', 'out 3f8/2=7788'],
    ['out dx, eax', 'out 3f8/4=55667788'],
  ])('%s', (text, access) => {
    const { guest, log } = guestWithPorts();
    guest.step(text);
    expect(log).toEqual([access]);
  });

  it('REP OUTSB goes through DS:RSI upwards, REP INSW through ES:RDI downwards', () => {
    const { guest, log } = guestWithPorts();
    guest.load(LAYOUT.DATA, [0x41, 0x42, 0x43]);
    guest.run(`mov esi, ${LAYOUT.DATA}; mov ecx, 3; rep outsb; hlt`);
    expect(log).toEqual(['out 3f8/1=41', 'out 3f8/1=42', 'out 3f8/1=43']);
    expect([guest.state.readGpr(GPR.RSI), guest.state.readGpr(GPR.RCX)]).toEqual([
      BigInt(LAYOUT.DATA + 3),
      0n,
    ]);
    const down = guestWithPorts();
    down.guest.run(`mov edi, ${LAYOUT.DATA + 6}; mov ecx, 2; std; rep insw; hlt`);
    expect(down.log).toEqual(['in 3f8/2', 'in 3f8/2']);
    expect(down.guest.state.readGpr(GPR.RDI)).toBe(BigInt(LAYOUT.DATA + 2));
    expect(down.guest.read64(LAYOUT.DATA) >> 48n).toBe(0x8384n);
  });

  it('REP with a count of zero does nothing; with 32-bit addresses ECX counts', () => {
    const { guest, log } = guestWithPorts();
    guest.state.writeGpr(GPR.RCX, 0xf_0000_0000n);
    guest.run(`mov esi, ${LAYOUT.DATA}; a32 rep outsb; hlt`);
    expect(log).toEqual([]);
    expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE + 9));
  });

  it('a segment override moves the source of OUTS', () => {
    const { guest, log } = guestWithPorts();
    guest.state.segment(SEGMENT.FS).base = BigInt(LAYOUT.DATA);
    guest.load(LAYOUT.DATA + 4, [0x5a]);
    guest.run('mov esi, 4; fs outsb; hlt');
    expect(log).toEqual(['out 3f8/1=5a']);
  });

  it('INS probes its destination before it reads the port', () => {
    const { guest, log } = guestWithPorts();
    guest.unmap(LAYOUT.DATA);
    guest.run(`mov edi, ${LAYOUT.DATA}; insd; hlt`);
    guest.state.rip -= 1n;
    expect(guest.frame).toMatchObject({ vector: VECTOR.PF, errorCode: 2 });
    expect(log).toEqual([]);
    expect(guest.state.readGpr(GPR.RDI)).toBe(BigInt(LAYOUT.DATA));
  });

  it('the intercept of a string instruction comes before its memory access, with the linear address', () => {
    const { guest, log } = guestWithPorts();
    const intercepts = new RecordingIntercepts();
    let seen: unknown[] = [];
    intercepts.face.io = (_instruction, ...rest) => {
      seen = rest;
      return true;
    };
    guest.unmap(LAYOUT.DATA);
    guest.processor.intercepts = intercepts.face;
    expect(guest.run(`mov edi, ${LAYOUT.DATA}; insw; hlt`)).toBe('vm-exit');
    expect(seen).toEqual([0x3f8, 2, 'in', BigInt(LAYOUT.DATA)]);
    expect(log).toEqual([]);
  });
});

describe.skipIf(skipped !== '')(`I/O permission (SDM Vol. 1, 18.5)${skipped}`, () => {
  /** Port 0x3f8 … 0x3ff allowed, everything else refused. */
  function withBitmap(limit: number): SystemGuest {
    const { guest } = guestWithPorts();
    guest.enterUser();
    guest.write64(LAYOUT.TSS + 96, 0x68n << 48n);
    guest.load(LAYOUT.TSS + 0x68, new Uint8Array(0x100).fill(0xff));
    guest.load(LAYOUT.TSS + 0x68 + 0x7f, [0]);
    guest.state.segment(SEGMENT.TR).limit = limit;
    return guest;
  }

  it.each([
    ['in al, dx', 0x3f8, true],
    ['in eax, dx', 0x3fc, true],
    ['in ax, dx', 0x3ff, false],
    ['in al, dx', 0x3f7, false],
    ['in al, dx', 0x8000, false],
  ])('%s with port 0x%x: allowed %s', (text, port, allowed) => {
    const guest = withBitmap(0x168);
    guest.state.writeGpr(GPR.RDX, BigInt(port));
    guest.step(text);
    if (allowed) expect(guest.state.rip).toBe(BigInt(LAYOUT.CODE + 1));
    else expect(guest.frame).toMatchObject({ vector: VECTOR.GP, errorCode: 0 });
  });

  it('the byte behind the last port counts for the limit', () => {
    const guest = withBitmap(0x68 + 0x7f);
    guest.step('in al, dx');
    expect(guest.frame?.vector).toBe(VECTOR.GP);
  });

  it('CPL <= IOPL needs no bitmap', () => {
    const { guest, log } = guestWithPorts();
    guest.enterUser();
    guest.state.rflags = RFLAGS.FIXED | RFLAGS.IOPL;
    guest.step('out dx, al');
    expect(log).toEqual(['out 3f8/1=88']);
  });
});
