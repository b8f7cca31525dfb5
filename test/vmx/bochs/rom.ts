/** The ROM that puts the questions to Bochs: 64-bit code that flips bits of a VMCS and prints a letter per VMLAUNCH. */

import { VMCS } from '../../../src/architecture/vmx/vmcs-fields.js';
import { assemble } from '../../../src/assembler/index.js';
import { baseFields, GUEST_CODE, MSR_AREA, VMCS_REGION, VMXON_REGION } from '../vmx-machine.js';
import { FLIPPED, ORACLE_EPT_PDPT, ORACLE_EPT_PML4, OUTCOME_LETTER, SCENARIOS } from './cases.js';

/** A list of pairs, ended by a field of all ones. */
const pairs = (list: readonly (readonly [number, bigint])[]): string =>
  [...list.map(([field, value]) => ` dq ${field}, 0x${value.toString(16)}`), ' dq -1'].join('\n');

const letter = (name: keyof typeof OUTCOME_LETTER): string => `'${OUTCOME_LETTER[name]}'`;

const BASE = new Map(baseFields());

const SOURCE = `
bits 16
org 0xf0000
start: cli
 o32 lgdt [cs:gdtr-0xf0000]
 mov eax,cr0
 or al,1
 mov cr0,eax
 jmp dword 0x28:protected
align 8
gdt: dq 0, 0x00af9b000000ffff, 0x00cf93000000ffff, 0x00008b0090000067, 0, 0x00cf9b000000ffff
gdtr: dw 47
 dd gdt

bits 32
protected: mov ax,16
 mov ds,ax
 mov es,ax
 mov ss,ax
 mov fs,ax
 mov gs,ax
 mov esp,0x8000
 ; identity map of 4 GBytes in 2-MByte pages: 1000h PML4, 2000h PDPT, 3000h ... page directories
 mov dword [0x1000],0x2003
 mov edi,0x2000
 mov eax,0x3003
 mov ecx,4
.directories: mov [edi],eax
 add edi,8
 add eax,0x1000
 loop .directories
 mov edi,0x3000
 mov eax,0x83
 mov ecx,2048
.pages: mov [edi],eax
 add edi,8
 add eax,0x200000
 loop .pages
 mov eax,0x2220
 mov cr4,eax
 mov eax,0x1000
 mov cr3,eax
 mov ecx,0xc0000080
 mov eax,0x901
 xor edx,edx
 wrmsr
 mov eax,0x80010031
 mov cr0,eax
 jmp 8:long

bits 64
default abs
print: out 0xe9,al ; al
 ret
hex: mov ecx,16 ; rdx
.digit: rol rdx,4
 mov al,dl
 and al,15
 add al,'0'
 cmp al,'9'
 jbe .out
 add al,'a'-'9'-1
.out: out 0xe9,al
 dec ecx
 jnz .digit
newline: mov al,10
 out 0xe9,al
 ret
write_all: ; pairs at rsi
 lodsq
 cmp rax,-1
 je .end
 mov rbx,rax
 lodsq
 vmwrite rbx,rax
 jmp write_all
.end: ret

long: mov dword [${ORACLE_EPT_PML4}],${ORACLE_EPT_PDPT | 7}
 mov dword [${ORACLE_EPT_PDPT}],0xb7
 mov dword [${GUEST_CODE}],0x00f4a20f
 mov dword [${MSR_AREA}],0xc0000102
 mov ecx,0x3a
 rdmsr
 test al,1
 jnz .locked
 mov eax,5
 xor edx,edx
 wrmsr
.locked: mov ecx,0x480
 rdmsr
 and eax,0x7fffffff
 mov [${VMXON_REGION}],eax
 mov [0x7018],eax
 mov qword [0x7000],${VMXON_REGION}
 mov qword [0x7008],${VMCS_REGION}
 vmxon [0x7000]
 jbe stop

 mov r8,scenarios
.scenario: mov rax,[r8]
 test rax,rax
 jz stop
 mov r9,flipped
 mov r10d,64
 call ask
 call newline
.field: cmp qword [r9],-1
 je .next
 xor r10d,r10d
.bit: mov al,${letter('notFlipped')}
 bt [r9+8],r10
 jnc .print
 call ask
 jmp .asked
.print: call print
.asked: inc r10d
 cmp r10d,64
 jb .bit
 call newline
 add r9,16
 jmp .field
.next: add r8,8
 jmp .scenario

; prints the outcome of VMLAUNCH in scenario [r8] with bit r10 (64 for none) of field [r9] flipped
ask: vmclear [0x7008]
 ; Guests may have used the region as a page table and set accessed flags in it.
 mov eax,[0x7018]
 mov [${VMCS_REGION}],eax
 vmptrld [0x7008]
 mov rsi,base
 call write_all
 mov rsi,[r8]
 call write_all
 ; A preemption timer of 0 ends every guest before its first instruction.
 mov eax,${VMCS.PIN_BASED_VM_EXECUTION_CONTROLS}
 vmread rbx,rax
 or rbx,0x40
 vmwrite rax,rbx
 mov eax,${VMCS.VMX_PREEMPTION_TIMER_VALUE}
 xor ebx,ebx
 vmwrite rax,rbx
 cmp r10d,64
 jae .ready
 mov rax,[r9]
 vmread rbx,rax
 btc rbx,r10
 vmwrite rax,rbx
.ready: mov [0x7010],rsp
 vmlaunch
 mov al,${letter('failInvalid')}
 jc .print
 mov eax,${VMCS.VM_INSTRUCTION_ERROR}
 vmread rbx,rax
 mov al,${letter('controls')}
 cmp ebx,7
 je .print
 mov al,${letter('hostState')}
 cmp ebx,8
 je .print
 mov al,${letter('otherError')}
.print: call print
 ret
exited: mov rsp,[0x7010]
 mov eax,${VMCS.EXIT_REASON}
 vmread rbx,rax
 mov al,${letter('entered')}
 bt ebx,31
 jnc ask.print
 mov al,${letter('msrLoad')}
 cmp bl,34
 je ask.print
 mov eax,${VMCS.EXIT_QUALIFICATION}
 vmread rbx,rax
 mov al,${letter('pdpte')}
 cmp ebx,2
 je ask.print
 mov al,${letter('nmiBlocked')}
 cmp ebx,3
 je ask.print
 mov al,${letter('linkPointer')}
 cmp ebx,4
 je ask.print
 mov al,${letter('invalidGuestState')}
 jmp ask.print

stop: mov esi,shutdown
 mov dx,0x8900
.next: lodsb
 test al,al
 jz .end
 out dx,al
 jmp .next
.end: hlt
 jmp .end
shutdown: db "Shutdown",0

align 8
base:
${pairs(FLIPPED.map(([field]) => [field, BASE.get(field) ?? 0n]))
  .split('\n')
  .slice(0, -1)
  .join('\n')}
 dq ${VMCS.HOST_RIP}, exited
 dq -1
${SCENARIOS.map(({ fields }, n) => `scenario${n}:\n${pairs(fields)}`).join('\n')}
scenarios:
${SCENARIOS.map((_, n) => ` dq scenario${n}`).join('\n')}
 dq 0
flipped:
${pairs(FLIPPED)}
times 0xfff0-($-$$) db 0x90
bits 16
 jmp 0xf000:start-0xf0000
times 0x10000-($-$$) db 0
`;

/** 64 KBytes for address FFFF0000H. */
export function buildRom(): Uint8Array {
  const { ok, image, diagnostics } = assemble(SOURCE, { fileName: 'vm-entry-oracle.asm' });
  if (!ok) throw new Error(diagnostics.map((d) => `${d.line}: ${d.message}`).join('\n'));
  return image;
}
