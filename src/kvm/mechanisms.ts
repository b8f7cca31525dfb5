/**
 * The mechanisms of the hypervisor layer and the alternatives of each, oldest first: what each does, and where that is
 * told. `Policies` derives from this table; which alternatives run is said in `policies.ts`.
 */

export interface Alternative {
  readonly name: string;
  /** Two sentences: what happens, and what it costs or saves. */
  readonly explanation: string;
  /** Commit, kernel function or slide. */
  readonly source: string;
}

export interface MechanismDescription {
  readonly name: string;
  readonly title: string;
  readonly alternatives: readonly Alternative[];
}

const TALK = 'M. Tosatti, KVM Forum 2010';

export const MECHANISMS = [
  {
    name: 'syscallMsrs',
    title: 'Syscall MSRs, which VT-x does not switch (STAR, LSTAR, CSTAR, SYSCALL_MASK, EFER)',
    alternatives: [
      {
        name: 'eager-rereading',
        explanation:
          'As eager, and the values of the host are read again before each switch although they never change. Five more reads: about 900 cycles of a processor of 2007, a tenth of an exit.',
        source: 'before 2345df8c555e (2007)',
      },
      {
        name: 'eager',
        explanation:
          'All of them are saved and loaded at every heavy exit and every preemption, whoever runs next. Six reads and ten writes each time, more with EFER.',
        source: 'vmx_save_host_state, vmx_load_host_state of 2.6.32',
      },
      {
        name: 'shared',
        explanation:
          'Guest values stay in the CPU until its thread really returns to user mode, and a value is written only if it differs. Guest, idle, guest again costs KERNEL_GS_BASE alone: about 2000 cycles less when EFER differs too.',
        source: '18863bdd60f8, 26bb0981b3ff, "MSR switching" of the talk',
      },
      {
        name: 'shared-without-cstar',
        explanation:
          'As shared, but CSTAR stays out of the CPU: on this vendor’s processors SYSCALL in compatibility mode is undefined. One write less wherever values differ.',
        source: 'vmx_setup_uret_msrs of 6.8 ("user return MSRs")',
      },
    ],
  },
  {
    name: 'slotsProtection',
    title: 'What protects memory slots and I/O buses while an exit is handled',
    alternatives: [
      {
        name: 'rwsem',
        explanation:
          'A reader-writer semaphore, released before each entry and taken after each exit. Both write one cache line that all vCPUs of the VM share, and a waiting writer holds up new readers.',
        source: 'slots_lock and lib/rwsem-spinlock.c of 2.6.32',
      },
      {
        name: 'srcu',
        explanation:
          'Readers count themselves in per-CPU counters, without a shared line. A writer publishes a copy and waits for three scheduler grace periods, about 10 ms.',
        source: 'bc6678a33d9b, "SRCU" of the talk',
      },
      {
        name: 'srcu-expedited',
        explanation:
          'As srcu, but the writer makes every CPU switch context at once instead of waiting for it. Grace periods take microseconds, and disturb all CPUs.',
        source: 'synchronize_srcu_expedited in __kvm_set_memory_region of 2.6.35',
      },
    ],
  },
  {
    name: 'irqRouting',
    title: 'What protects the interrupt routing table while an interrupt is raised',
    alternatives: [
      {
        name: 'irq-lock',
        explanation:
          'One lock per VM, from the look-up until all chips have taken the interrupt. Every interrupt that a device raises writes its cache line, and they come one after the other.',
        source: 'kvm->irq_lock of 2.6.32',
      },
      {
        name: 'rcu',
        explanation:
          'A reader copies the matching entries inside an RCU section and raises the pins outside of it. A new table costs its writer one grace period of the scheduler’s RCU.',
        source: 'kvm_set_irq of 2.6.37, "SRCU" of the talk',
      },
    ],
  },
  {
    name: 'ioApicEoi',
    title: 'Ends of interrupt that the I/O APIC hears of, under its lock',
    alternatives: [
      {
        name: 'every-vector',
        explanation:
          'All of them, whatever the interrupt came from. Each writes a cache line that all vCPUs of the VM share.',
        source: 'apic_set_eoi, kvm_ioapic_update_eoi of 2.6.32',
      },
      {
        name: 'handled-vectors',
        explanation:
          'Only those of vectors that a pin of the I/O APIC is set to, which is looked up without the lock. Interrupts between processors and message-signalled ones end without a shared line.',
        source: 'kvm_ioapic_handles_vector in apic_set_eoi of 3.x',
      },
    ],
  },
  {
    name: 'taskSwitchedFlag',
    title: "Who owns the guest's CR0.TS, by which guest kernels switch FPU state lazily",
    alternatives: [
      {
        name: 'trapped',
        explanation:
          'Every MOV to CR0, CLTS and LMSW that changes TS exits. A guest that switches between two tasks that use the FPU exits two or three times.',
        source: 'vmx_set_cr0, vmx_fpu_activate of 2.6.32',
      },
      {
        name: 'guest-owned',
        explanation:
          "While the guest's FPU registers are loaded TS is its own: no exit for MOV to CR0 or CLTS, #NM goes straight to it. After a heavy exit the host owns TS until the guest touches the FPU again.",
        source: 'edcafe3c5a06, 02daab21d94d, "CR0.TS" of the talk',
      },
      {
        name: 'guest-owned-counted',
        explanation:
          'As guest-owned, but a guest that used its FPU in five heavy periods running keeps it over the next ones. The count rolls over at 256, so that a guest that stops is noticed.',
        source: '653f52c316a4, kvm_put_guest_fpu of 4.1',
      },
    ],
  },
  {
    name: 'hostFpu',
    title: "How the host thread's FPU registers make room for the guest's",
    alternatives: [
      {
        name: 'unconditional',
        explanation:
          'FXSAVE and FXRSTOR around every heavy period in which the guest has its FPU. Also when the thread has nothing in the registers to lose.',
        source: 'kvm_load_guest_fpu, kvm_put_guest_fpu of 2.6.32',
      },
      {
        name: 'unlazy-as-shipped',
        explanation:
          "Saved only if the thread owns them, and restored by its own #NM. But TS is left set: each load of the guest's registers takes a host #NM, after which the thread owns registers that hold guest values.",
        source: '7cf30855e02b, kvm_load_guest_fpu of 2.6.37',
      },
      {
        name: 'unlazy-as-intended',
        explanation:
          'Saved only if the thread owns them, then CLTS and FXRSTOR; TS is set when the guest gives them up. No extra #NM, no stale ownership.',
        source: '9c1c3fac5337, __kernel_fpu_begin in kvm_load_guest_fpu of 3.7',
      },
      {
        name: 'eager',
        explanation:
          "The host never sets CR0.TS. The guest's registers are loaded once per KVM_RUN, preemption switches them like any task's, and #NM is never intercepted.",
        source: '304bceda6a18, kvm_load_guest_fpu of 4.19',
      },
    ],
  },
  {
    name: 'hostCr0',
    title: "CR0 of the host after a VM exit, whose TS depends on the FPU's owner",
    alternatives: [
      {
        name: 'every-entry',
        explanation:
          'CR0 is read and written to HOST_CR0 before each entry. Right whatever TS is, about 50 cycles on each exit.',
        source: 'vmx_vcpu_run of 2.6.32',
      },
      {
        name: 'once',
        explanation:
          'HOST_CR0 is written when the VMCS is set up, with TS set (clear from 3.4 on). A heavy exit corrects TS by the owner of the FPU.',
        source: '1c11e713576e',
      },
    ],
  },
  {
    name: 'vmcsTraffic',
    title: 'VMCS fields that are moved on every entry or exit without being asked for',
    alternatives: [
      {
        name: '2.6.32',
        explanation:
          'GUEST_CR3 is written before each entry and read after each exit. The interruption information is read after exceptions.',
        source: 'vmx_vcpu_run, vmx_handle_exit of 2.6.32',
      },
      {
        name: '2.6.35',
        explanation:
          'GUEST_CR3 is no longer written. It and the interruption information are read after each exit.',
        source: 'vmx_vcpu_run, vmx_complete_interrupts of 2.6.35',
      },
      {
        name: '2.6.37',
        explanation: "As 2.6.35, and the guest's time-stamp counter is read after each exit, for its clock.",
        source: 'vcpu_enter_guest of 2.6.37',
      },
      {
        name: 'on-demand',
        explanation:
          'GUEST_CR3 and the interruption information are read when somebody needs them. A light exit reads two or three fields less.',
        source: 'vmx_cache_reg, vmx_get_intr_info of 6.8',
      },
    ],
  },
  {
    name: 'userSegments',
    title: 'DS and ES of the host, which a VM exit can not load with a selector of user mode',
    alternatives: [
      {
        name: 'every-exit',
        explanation:
          'Both are loaded with the user data selector right after each exit, about 70 cycles of a light one.',
        source: 'vmx_vcpu_run of 2.6.32',
      },
      {
        name: 'host-switch',
        explanation:
          'They stay null until the host gets its state back, and are loaded then if they were anything else. Threads with 64-bit code have null selectors.',
        source: 'b2da15ac26a0',
      },
    ],
  },
  {
    name: 'eventInjection',
    title: 'When interrupts and exceptions for the guest are looked for',
    alternatives: [
      {
        name: 'every-entry',
        explanation:
          'Before every entry: interrupt controllers scanned, windows opened, the TPR threshold written.',
        source: 'vcpu_enter_guest of 2.6.32',
      },
      {
        name: 'on-request',
        explanation:
          'Only if something that matters to it happened (KVM_REQ_EVENT): a new interrupt, end of interrupt, task priority, a window. If the entry is called off, the event is taken out of the VMCS again.',
        source: '3842d135ff24, vcpu_enter_guest of 2.6.37',
      },
    ],
  },
  {
    name: 'portOutput',
    title: 'How OUT becomes a port access',
    alternatives: [
      {
        name: 'exit-qualification',
        explanation:
          'Port and size come from the exit qualification; the fields of kvm_run are filled in before in-kernel devices are searched.',
        source: 'handle_io, kvm_emulate_pio of 2.6.32',
      },
      {
        name: 'fast-path',
        explanation:
          'The instruction is skipped, RAX copied and in-kernel devices searched at once. Only a miss fills in kvm_run.',
        source: 'kvm_fast_pio_out of 2.6.35',
      },
    ],
  },
  {
    name: 'busSearch',
    title: 'How the in-kernel device at an address is found',
    alternatives: [
      {
        name: 'linear',
        explanation:
          'Devices are called in the order of their registration until one claims the access. A miss calls all of them.',
        source: 'kvm_io_bus_write of 2.6.32',
      },
      {
        name: 'sorted',
        explanation:
          'Ranges are sorted by address and searched by halves. With 200 devices an exit to user space is about 211 ns shorter.',
        source: '743eeb0b01d2, "in-kernel device search" in the to-do list of the talk',
      },
    ],
  },
  {
    name: 'busCapacity',
    title: 'Devices that fit on an I/O bus (NR_IOBUS_DEVS)',
    alternatives: [
      { name: '6', explanation: 'Room for the irqchip, the PIT and little more.', source: '2.6.32' },
      { name: '200', explanation: 'Room for ioeventfds.', source: '2.6.35 to 3.2' },
      { name: '1000', explanation: 'Room for hundreds of virtio queues.', source: '3.5 and later' },
    ],
  },
  {
    name: 'apicAccess',
    title: 'How an access to the xAPIC page is understood',
    alternatives: [
      {
        name: 'emulated',
        explanation:
          'The instruction is fetched through the guest page tables, decoded and executed. An end of interrupt takes 4677 cycles instead of 2366 by MSR.',
        source: `handle_apic_access of 2.6.32, "x2APIC" of ${TALK}`,
      },
      {
        name: 'fast-eoi',
        explanation:
          'A linear write at offset 0xb0 is recognised by the exit qualification. The register switch is called at once, the written value does not matter.',
        source: '58fbbf26eb0c',
      },
    ],
  },
  {
    name: 'pvEoi',
    title: 'Ends of interrupt through a flag in memory that guest and host share (PV EOI)',
    alternatives: [
      {
        name: 'off',
        explanation: 'Each end of interrupt is a write to the local APIC, and an exit.',
        source: '2.6.32',
      },
      {
        name: 'on',
        explanation:
          'The host says in a flag that the interrupt needs no signal at its end; the guest clears it instead of writing to the APIC. Entries under many interrupts fall by 40 %.',
        source: 'ab9cf4996bb9, ae7a2a3fb6f8',
      },
    ],
  },
  {
    name: 'apicVirtualisation',
    title: "What the processor does of the guest's local APIC by itself",
    alternatives: [
      {
        name: 'none',
        explanation: 'Only the task priority (TPR shadow). Every other access exits.',
        source: 'vmx_vcpu_setup of 2.6.32',
      },
      {
        name: 'register',
        explanation:
          'Reads come from the virtual-APIC page without an exit, in x2APIC mode too. Writes to the page exit behind the instruction, with the offset, so that nothing is decoded.',
        source: '83d4c286931c, SDM Vol. 3C, 29.4 and 29.5',
      },
      {
        name: 'register+virtual-interrupt-delivery',
        explanation:
          'The processor delivers what the host requests, and ends it, without exits: no interrupt windows, no exit for most ends of interrupt. Other CPUs must still make the guest exit.',
        source: 'c7c9c56ca26f, SDM Vol. 3C, 29.2',
      },
      {
        name: 'posted-interrupts',
        explanation:
          'Requests are posted in a descriptor, and a notification makes the processor take them in while the guest runs. The target does not exit.',
        source: '5a71785dde30, SDM Vol. 3C, 29.6',
      },
    ],
  },
  {
    name: 'deadlineTimer',
    title: "TSC-deadline mode of the guest's local-APIC timer, and what runs it",
    alternatives: [
      {
        name: 'absent',
        explanation: 'The mode is not offered: guests start the timer by its initial count.',
        source: '2.6.32',
      },
      {
        name: 'hrtimer',
        explanation:
          'A write of IA32_TSC_DEADLINE programs a timer of the host, whose interrupt makes the guest exit when it expires.',
        source: 'a3e06bbe8445',
      },
      {
        name: 'preemption-timer',
        explanation:
          'While the guest runs the VMX-preemption timer counts down to the deadline: nothing is programmed, no host interrupt is taken. A vCPU that halts falls back to the host timer.',
        source: 'ce7a058a2117, 64672c95ea4c',
      },
      {
        name: 'posted',
        explanation:
          'A timer of the host on another CPU, kept for such work, which posts the interrupt to the guest. A CPU that a vCPU has for itself takes no interrupts for it; needs posted interrupts, else as hrtimer.',
        source: '0c5f81dad46c',
      },
    ],
  },
  {
    name: 'haltPolling',
    title: 'What a vCPU does after HLT before its thread sleeps',
    alternatives: [
      { name: 'off', explanation: 'It sleeps at once: another thread or nobody runs.', source: '2.6.32' },
      {
        name: 'always',
        explanation:
          'It looks for interrupts for up to 200 µs first. A wake-up in that time needs no scheduler, an idle guest burns its CPU.',
        source: 'f7819512996e',
      },
      {
        name: 'dynamic',
        explanation:
          'The time grows from 10 µs by doubling up to 200 µs while wake-ups come soon, and falls back to zero after long sleeps. Nearly the latency of always, nearly the idle load of off.',
        source: 'aca6ff29c406',
      },
    ],
  },
  {
    name: 'memorySlotLookup',
    title: "How a guest frame's memory slot is found",
    alternatives: [
      {
        name: 'linear',
        explanation: 'Slots are compared one after the other, in the order of their numbers.',
        source: 'gfn_to_memslot_unaliased of 2.6.32',
      },
      {
        name: 'last-used',
        explanation: 'The slot found last is tried first. Average look-up at guest boot 46 to 28 cycles.',
        source: 'd4ae84a02bc6',
      },
      {
        name: 'sorted',
        explanation:
          'The last slot first, then a binary search in slots sorted by frame. With 117 slots a random look-up takes 180 cycles instead of 460.',
        source: '9c1a5d38780e',
      },
    ],
  },
  {
    name: 'mmioExit',
    title: 'How an access to a page without memory is recognised',
    alternatives: [
      {
        name: 'violation',
        explanation:
          'By an EPT violation, every time: the page fault handler looks for a slot, finds none, and the instruction is emulated.',
        source: 'handle_ept_violation, tdp_page_fault of 2.6.32',
      },
      {
        name: 'misconfiguration',
        explanation:
          'The first time by a violation, which leaves a mark in the tables that the processor takes for misconfigured. Later accesses go to the emulator without the page fault handler.',
        source: 'ce88decfd25b, handle_ept_misconfig of 3.1',
      },
      {
        name: 'fast-bus',
        explanation:
          'Marked pages, and ioeventfds of any length are found by the address alone. No page walk, no decoding: a doorbell in memory is about as fast as a port.',
        source: '68c3b4d1676d',
      },
    ],
  },
  {
    name: 'instructionEmulation',
    title: 'How an instruction that accesses MMIO or strings of ports is emulated',
    alternatives: [
      {
        name: 'full',
        explanation:
          'A clean decode structure, a copy of all registers, every byte fetched and decoded anew. 2300 to 3200 cycles, with a walk of the guest page tables for the code and one for each operand.',
        source: 'emulate_instruction, x86_decode_insn of 2.6.32',
      },
      {
        name: 'decode-cache',
        explanation:
          'Decoded instructions are kept by address and used again while the bytes fetched are the same. The fetch and its page walk stay; changed code is decoded anew.',
        source: `"instruction emulation" in the to-do list of the talk; no release of KVM has it`,
      },
      {
        name: 'lean',
        explanation:
          'Only what the decoder does not write is cleared, registers are fetched and given back when they are used, VMCS fields are written when they change. 720 to 1100 cycles.',
        source: '44583cba9188, dd856efafe60, the series of 2014',
      },
    ],
  },
  {
    name: 'exitDispatch',
    title: 'From a VM exit to its handler',
    alternatives: [
      {
        name: 'full-loop',
        explanation:
          'Every exit goes through the whole loop, with interrupts enabled and the slots protected.',
        source: '__vcpu_run, vcpu_enter_guest of 2.6.32',
      },
      {
        name: 'fast-path',
        explanation:
          'Writes of the interrupt-command register and of the TSC deadline are handled with interrupts off, before the rest of the loop. The deadline re-enters the guest at once.',
        source: '1e9e2622a149, handle_fastpath_set_tscdeadline',
      },
    ],
  },
] as const satisfies readonly MechanismDescription[];

export type Mechanism = (typeof MECHANISMS)[number]['name'];

/** One alternative for each mechanism. */
export type Policies = {
  readonly [Description in (typeof MECHANISMS)[number] as Description['name']]: Description['alternatives'][number]['name'];
};
