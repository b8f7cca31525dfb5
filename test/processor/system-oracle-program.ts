/**
 * A guest program that tries many system instructions and prints what became of each: the same bytes run under QEMU and
 * on the processor. A case runs at CPL 0 or 3 and ends in an exception (INT3 when nothing else happens), whose frame and
 * the registers behind it are one line of output.
 */

export interface OracleCase {
  readonly name: string;
  /** NASM text. It may use R8 … R15 freely. */
  readonly text: string;
  readonly privilege: 0 | 3;
}

/** Selectors of the program's GDT, by the names used in case texts. */
export const ORACLE_SELECTORS = {
  NULL: 0,
  NULL3: 3,
  CODE64: 0x08,
  CODE64_3: 0x0b,
  DATA: 0x10,
  DATA_1: 0x11,
  DATA_3: 0x13,
  USER32_3: 0x1b,
  USER32: 0x18,
  UDATA_3: 0x23,
  UDATA: 0x20,
  USER64_3: 0x2b,
  USER64: 0x28,
  TASK: 0x30,
  LOCAL: 0x40,
  GATE: 0x50,
  GATE_3: 0x53,
  CONFORMING: 0x60,
  CONFORMING_3: 0x63,
  NO_CODE: 0x68,
  NO_DATA: 0x70,
  READ_ONLY: 0x78,
  CODE32: 0x80,
  EXECUTE_ONLY: 0x88,
  BUSY: 0x90,
  LONG_BIG: 0xa0,
  NO_TASK: 0xb0,
  GATE_TO_32: 0xc0,
  GATE_ABSENT: 0xd0,
  GATE_INNER: 0xe0,
  BEYOND: 0x200,
  IN_LDT: 0x0c,
} as const;

const STACK_TOP = 0x80000;
const FIELDS = [
  'vector',
  'error',
  'rip',
  'cs',
  'rflags',
  'rsp',
  'ss',
  'ds',
  'es',
  'fs',
  'gs',
  'rax',
  'rcx',
  'rdx',
  'gdt',
  'ldtr',
  'tr',
] as const;

const HEADER = `
        bits 64
        org 0x100000
        default rel
start:  mov eax, 0x80010033
        mov cr0, rax
        mov eax, 0x220
        mov cr4, rax
        mov rax, cr3
        or qword [rax], 4
        mov rbx, [rax]
        and rbx, -4096
        or qword [rbx], 4
        mov rcx, [rbx]
        and rcx, -4096
        or qword [rcx], 4
        or qword [rcx + 8], 4
        mov cr3, rax
        mov ecx, 0xc0000080
        rdmsr
        or eax, 1
        wrmsr
        lea rsi, [pristine]
        lea rdi, [gdt]
        mov ecx, 32
        rep movsq
        lgdt [gdt_register]
        lea rdi, [idt]
        lea rsi, [stubs]
        xor ecx, ecx
.gate:  mov rax, rsi
        mov [rdi], ax
        mov word [rdi + 2], 8
        mov word [rdi + 4], 0xee00
        shr rax, 16
        mov [rdi + 6], ax
        shr rax, 16
        mov [rdi + 8], eax
        add rdi, 16
        add rsi, 16
        inc ecx
        cmp ecx, 64
        jb .gate
        ; Only INT3 and the vectors from 33 on may be called from user code.
        lea rdi, [idt]
        xor ecx, ecx
.level: cmp ecx, 3
        je .keep
        mov byte [rdi + 5], 0x8e
.keep:  add rdi, 16
        inc ecx
        cmp ecx, 33
        jb .level
        call spoil_gates
        lidt [idt_register]
        jmp case_0

; What every case starts from. Keeps nothing but RSP and the return address.
reset:  cld
        lea rsi, [pristine]
        lea rdi, [gdt]
        mov ecx, 32
        rep movsq
        lgdt [gdt_register]
        xor eax, eax
        lldt ax
        mov eax, 0x30
        ltr ax
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov fs, eax
        mov gs, eax
        mov rax, 0x1111222233334444
        mov rcx, 0x5555666677778888
        mov rdx, 0x9999aaaabbbbcccc
        mov rbx, 0xddddeeeeffff0000
        mov rsi, 0x0123456789abcdef
        mov rdi, 0xfedcba9876543210
        mov rbp, 0x1000
        ret

; Goes to CPL 3 at R8.
to_user:
        mov r9, 0x23
        push r9
        push qword user_stack
        push qword 2
        mov r9, 0x2b
        push r9
        push r8
        iretq

landing: int3
call_landing: int3

        align 16
stubs:
%assign vector 0
%rep 64
        align 16
%if vector == 8 || (vector >= 10 && vector <= 14) || vector == 17
%else
        push qword 0
%endif
        push qword vector
        jmp near record
%assign vector vector + 1
%endrep

record: mov [saved_rax], rax
        mov [saved_rcx], rcx
        mov [saved_rdx], rdx
        mov ax, ds
        movzx eax, ax
        push rax
        mov ax, es
        movzx eax, ax
        push rax
        mov ax, fs
        movzx eax, ax
        push rax
        mov ax, gs
        movzx eax, ax
        push rax
        mov eax, 0x10
        mov ds, eax
        mov es, eax
        mov ss, eax
        mov rbp, rsp
        mov ecx, 0x80010033
        mov rax, cr0
        cmp rax, rcx
        je .same
        mov cr0, rcx
.same:  and qword [rbp + 64], ~0x10000
        mov ecx, 32
        lea rsi, [gdt]
        xor ebx, ebx
        cld
.hash:  lodsq
        add rbx, rax
        rol rbx, 7
        loop .hash
%macro print 1
        mov rax, %1
        call hexadecimal
%endmacro
        print [rbp + 32]
        print [rbp + 40]
        print [rbp + 48]
        print [rbp + 56]
        print [rbp + 64]
        print [rbp + 72]
        print [rbp + 80]
        print [rbp + 24]
        print [rbp + 16]
        print [rbp + 8]
        print [rbp]
        print [saved_rax]
        print [saved_rcx]
        print [saved_rdx]
        print rbx
        sldt rax
        movzx eax, ax
        call hexadecimal
        str rax
        movzx eax, ax
        call hexadecimal
        mov al, 10
        call character
        mov rsp, ${STACK_TOP}
        jmp [next]

; RAX without leading zeros and a blank.
hexadecimal:
        mov r8, rax
        mov ecx, 16
        xor r9d, r9d
.digit: rol r8, 4
        mov eax, r8d
        and eax, 15
        or r9d, eax
        jnz .show
        cmp ecx, 1
        jne .skip
.show:  lea r10, [digits]
        mov al, [r10 + rax]
        call character
.skip:  loop .digit
        mov al, ' '
character:
        mov dx, 0x3f8
        out dx, al
        ret

digits: db "0123456789abcdef"

finish: mov al, 'E'
        call character
        mov al, 10
        call character
        mov dx, 0xf4
        out dx, al
        cli
        hlt
`;

function descriptorWord(rights: number): string {
  const high = (((rights & 0xf000) << 8) | 0xf0000 | ((rights & 0xff) << 8)) >>> 0;
  return `0x${high.toString(16)}0000ffff`;
}

const DATA_SECTION = `
        align 4096
next:   dq 0
saved_rax: dq 0
saved_rcx: dq 0
saved_rdx: dq 0
gdt_register: dw 0xff
        dq gdt
idt_register: dw 64 * 16 - 1
        dq idt
far_pointer: dq 0, 0
        align 16
idt:    times 64 * 2 dq 0
gdt:    times 32 dq 0
pristine:
        dq 0
        dq ${descriptorWord(0xa09b)}, ${descriptorWord(0xc092)}, ${descriptorWord(0xc0fb)}
        dq ${descriptorWord(0xc0f3)}, ${descriptorWord(0xa0fb)}
        dq 0x0000890000000067 | (((tss - $$ + 0x100000) & 0xffffff) << 16), 0
        dq 0x00008200000000ff | (((ldt - $$ + 0x100000) & 0xffffff) << 16), 0
        dq 0x0000ec0000080000 | ((call_landing - $$) & 0xffff) | (0x10 << 48), 0
        dq ${descriptorWord(0xa09f)}, ${descriptorWord(0xa01b)}, ${descriptorWord(0xc012)}
        dq ${descriptorWord(0xc090)}, ${descriptorWord(0xc09b)}, ${descriptorWord(0xa099)}
        dq 0x00008b0000000067 | (((tss - $$ + 0x100000) & 0xffffff) << 16), 0
        dq ${descriptorWord(0xe09b)}, 0
        dq 0x0000090000000067 | (((tss - $$ + 0x100000) & 0xffffff) << 16), 0
        dq 0x0000ec0000800000, 0
        dq 0x00006c0000080000, 0
        dq 0x00008c0000080000 | ((call_landing - $$) & 0xffff) | (0x10 << 48), 0
        times pristine + 32 * 8 - $ db 0
ldt:    dq 0, ${descriptorWord(0xc092)}
        times 30 dq 0
        align 16
tss:    dd 0
        dq ring0_stack, 0, 0, 0
        dq interrupt_stack, 0x800000000000, 0, 0, 0, 0, 0, 0
        dw 0, 0x68
        align 4096
        times 1024 db 0
ring0_stack:
        times 1024 db 0
interrupt_stack:
        times 1024 db 0
user_stack:
        times 64 db 0
`;

/** Gates from 33 on: what INT n finds there. Selector, access byte, IST, offset. */
const GATES: readonly (readonly [string, string])[] = [
  ...[0, 1, 2, 4, 5, 6, 7, 9, 0xb, 0xc, 0xe, 0xf].map((type): [string, string] => [
    `type ${type}`,
    `mov byte [rdi + 5], 0x${(0xe0 | type).toString(16)}`,
  ]),
  ['S set', 'mov byte [rdi + 5], 0xfe'],
  ['absent', 'mov byte [rdi + 5], 0x6e'],
  ['level 0', 'mov byte [rdi + 5], 0x8e'],
  ['IST 1', 'mov byte [rdi + 4], 1'],
  ['IST 2, not canonical', 'mov byte [rdi + 4], 2'],
  ['IST 7, zero', 'mov byte [rdi + 4], 0'],
  ...Object.entries(ORACLE_SELECTORS).map(([name, value]): [string, string] => [
    `selector ${name}`,
    `mov word [rdi + 2], ${value}`,
  ]),
];
const FIRST_GATE = 33;
const LAST_GATE = 63;

function spoilGates(gates: readonly (readonly [string, string])[]): string {
  const lines = gates.map(([, text], index) => `lea rdi, [idt + ${(FIRST_GATE + index) * 16}]\n${text}`);
  return `spoil_gates:\n${lines.join('\n')}\nret\n`;
}

/** Gate tests come in rounds of as many as fit into the IDT. */
export const GATE_ROUNDS: readonly (readonly (readonly [string, string])[])[] = [
  GATES.slice(0, LAST_GATE - FIRST_GATE + 1),
  GATES.slice(LAST_GATE - FIRST_GATE + 1),
];

/** The program's source. @param round which gates the IDT has from vector 33 on */
export function oracleProgram(cases: readonly OracleCase[], round: number): string {
  const bodies = cases.map(({ text, privilege }, index) => {
    const body = text.replaceAll(';', '\n');
    const start = `case_${index}:\n mov qword [next], case_${index + 1}\n mov rsp, ${STACK_TOP}\n mov eax, 0x10\n mov ss, eax\n push qword 2\n popfq\n call reset\n`;
    if (privilege === 0) return `${start}${body}\nint3\n`;
    return `${start} lea r8, [.user]\n jmp to_user\n.user:\n${body}\nint3\n`;
  });
  return `${HEADER}\n${spoilGates(GATE_ROUNDS[round]!)}\n${bodies.join('\n')}\ncase_${cases.length}: jmp finish\n${DATA_SECTION}`;
}

/** A line of output with its fields named. */
export function describeLine(line: string): Record<string, string> {
  return Object.fromEntries(
    line
      .trim()
      .split(' ')
      .map((value, index) => [FIELDS[index] ?? `field ${index}`, value]),
  );
}

function selectorCases(privilege: 0 | 3): OracleCase[] {
  const cases: OracleCase[] = [];
  for (const [name, value] of Object.entries(ORACLE_SELECTORS)) {
    const add = (what: string, text: string): void => {
      cases.push({ name: `CPL ${privilege}: ${what} ${name}`, text, privilege });
    };
    const load = `mov r8d, ${value}`;
    const pointer = (size: 4 | 8): string =>
      `lea r9, [rsp - 64]; mov qword [r9], landing; mov word [r9 + ${size}], ${value}`;
    for (const segment of ['ds', 'ss', 'fs']) add(`mov ${segment}`, `${load}; mov ${segment}, r8d`);
    add('pop fs', `push qword ${value}; pop fs`);
    add('lss', `${pointer(4)}; lss ecx, [r9]`);
    add('lar', `${load}; lar eax, r8w; and eax, ~0xf0000`);
    add('lar 16', `${load}; lar ax, r8w`);
    add('lsl', `${load}; lsl rcx, r8w`);
    add('verr', `${load}; verr r8w`);
    add('verw', `${load}; verw r8w`);
    add('lldt', `${load}; lldt r8w`);
    add('ltr', `${load}; ltr r8w`);
    add('jmp far', `${pointer(4)}; jmp far dword [r9]`);
    add('jmp far 64', `${pointer(8)}; jmp far qword [r9]`);
    add('call far', `${pointer(4)}; call far dword [r9]`);
    add('call far 64', `${pointer(8)}; call far qword [r9]`);
    add('retfq', `push qword ${value}; lea r8, [landing]; push r8; o64 retf`);
    add('retf', `sub rsp, 8; mov dword [rsp], landing; mov dword [rsp + 4], ${value}; retf`);
    for (const stack of [0, 0x10, 0x23, 0x70]) {
      const frame = `push qword ${stack}; push qword user_stack - 64`;
      add(
        `retfq 8 with SS ${stack}`,
        `${frame}; push qword 0; push qword ${value}; push qword landing; o64 retf 8`,
      );
      add(
        `iretq with SS ${stack}`,
        `${frame}; push qword 0xed7; push qword ${value}; push qword landing; iretq`,
      );
    }
    add(
      'iretd',
      `sub rsp, 20; mov dword [rsp], landing; mov dword [rsp + 4], ${value}; mov dword [rsp + 8], 0x243202;
       mov dword [rsp + 12], user_stack - 64; mov dword [rsp + 16], 0x23; iretd`,
    );
  }
  return cases;
}

function gateCases(privilege: 0 | 3, round: number): OracleCase[] {
  return GATE_ROUNDS[round]!.map(([name], index) => ({
    name: `CPL ${privilege}: INT to gate, ${name}`,
    text: `int ${FIRST_GATE + index}`,
    privilege,
  }));
}

const MSR_TEXT = {
  STAR: 'mov ecx, 0xc0000081; xor eax, eax; mov edx, 0x00180008; wrmsr',
  SYSENTER_CS: 'mov ecx, 0x174; mov eax, 8; xor edx, edx; wrmsr',
} as const;

const OTHERS: readonly string[] = [
  // Privileged instructions
  'clts',
  'invd',
  'wbinvd',
  'swapgs',
  'invlpg [rax]',
  'mov rax, cr0',
  'mov rax, dr0',
  'mov cr2, rcx; mov rax, cr2',
  'in al, 0x80',
  'out 0x80, al',
  // Events
  'int 0',
  'int 8',
  'int 14',
  'ud2',
  'xor ecx, ecx; div ecx',
  'mov rax, 0x800000000000; mov eax, [rax]',
  // Flags
  'sub rsp, 8; mov qword [rsp], 0x240ed7; popfq',
  'sub rsp, 2; mov word [rsp], 0x4ed7; popfw',
  'pushfq; pop rax',
  'pushfq; or qword [rsp], 0x4000; popfq; iretq',
  // System registers
  'smsw eax; and eax, 0xffff',
  'str eax',
  'sldt ax',
  'mov eax, 5; mov cr8, rax; xor eax, eax; mov rax, cr8; xor ecx, ecx; mov cr8, rcx',
  'mov ecx, 0xc0000080; rdmsr; btr eax, 8; wrmsr',
  'mov ecx, 0xc0000100; mov edx, 0x7fff; mov eax, 16; wrmsr; xor eax, eax; rdmsr',
  'mov eax, 0x400; mov dr7, rax; mov rax, dr7',
  'xor eax, eax; mov dr6, rax; mov rax, dr6; mov rcx, dr4',
  'mov eax, 0x2400; mov dr7, rax; mov rcx, dr1',
  'sgdt [rsp - 16]; mov rax, [rsp - 16]',
  // Fast system calls
  `${MSR_TEXT.STAR}; mov rcx, landing; mov r11, 0x3c7ed7; o64 sysret`,
  `${MSR_TEXT.STAR}; mov rcx, landing; mov r11d, 2; sysret`,
  'mov ecx, 0x174; xor eax, eax; xor edx, edx; wrmsr; sysenter',
  `${MSR_TEXT.SYSENTER_CS}; mov ecx, 0x175; mov eax, ring0_stack; wrmsr; mov ecx, 0x176; mov eax, landing; wrmsr; sysenter`,
  `${MSR_TEXT.SYSENTER_CS}; mov rcx, user_stack; mov rdx, landing; o64 sysexit`,
  `${MSR_TEXT.SYSENTER_CS}; mov rcx, user_stack; mov rdx, landing; sysexit`,
  // Floating point
  'mov rax, cr0; bts rax, 3; mov cr0, rax; fninit',
  'mov rax, cr0; bts rax, 2; mov cr0, rax; fxsave [rsp - 1024]',
  'fxsave [rsp - 520 + 4]',
  'mov dword [rsp - 8], 0x10000; ldmxcsr [rsp - 8]',
  'sub rsp, 512; and rsp, -16; fninit; fld1; fxsave [rsp]; mov eax, [rsp]; mov rcx, [rsp + 32]; mov dx, [rsp + 40]',
  'fninit; fldz; fld1; fchs; fnstenv [rsp - 64]; mov rax, [rsp - 64]; mov ecx, [rsp - 56]; fnstsw ax',
  'mov dword [rsp - 8], 1; fninit; fld dword [rsp - 8]; fnstsw ax; fstp tword [rsp - 32]; mov rcx, [rsp - 32]',
  'mov dword [rsp - 8], 0x7f800001; fninit; fld dword [rsp - 8]; fnstsw ax; fstp tword [rsp - 32]; mov rcx, [rsp - 32]',
  'fninit; fld1; fldz; stc; fcmovb st0, st1; fnstsw ax; fstp tword [rsp - 32]; mov rcx, [rsp - 32]',
  'fninit; fxam; fnstsw ax',
  'fninit; fldz; fchs; fxam; fnstsw ax',
];

/** These would stop the program at CPL 0. */
const USER_ONLY = ['hlt', 'rdmsr', 'wrmsr', 'mov rsp, 0x800000000000; push rax'];

/** All cases of a round. */
export function oracleCases(round: number): OracleCase[] {
  const gates = [...gateCases(0, round), ...gateCases(3, round)];
  if (round > 0) return gates;
  const others = ([0, 3] as const).flatMap((privilege) =>
    OTHERS.map((text): OracleCase => ({ name: `CPL ${privilege}: ${text}`, text, privilege })),
  );
  const user = USER_ONLY.map((text): OracleCase => ({ name: `CPL 3: ${text}`, text, privilege: 3 }));
  return [...others, ...user, ...gates, ...selectorCases(0), ...selectorCases(3)];
}
