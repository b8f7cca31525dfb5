/**
 * Guest-physical addresses and ports: every constant of the guest's view, with its reason. What a guest may rely on at
 * its entry is in `boot-state.ts`.
 */

/** Where flat images are loaded and entered: 1 MiB, above the BIOS area, as Linux and multiboot kernels expect. */
export const LOAD_ADDRESS = 0x10_0000;

/** The boot stack grows down from here: conventional memory below the extended BIOS data area, 424 KiB free below. */
export const BOOT_STACK_TOP = 0x8_0000;

/** GDT that the loader leaves behind: one page below the page tables. */
export const BOOT_GDT = 0xf000;

/** Page tables of the identity mapping: PML4, one page-directory-pointer table, four page directories. */
export const BOOT_PAGE_TABLES = 0x1_0000;

/** Bytes mapped one to one: 4 GiB, so that the APICs' pages below 4 GiB can be reached. */
export const IDENTITY_MAPPED_BYTES = 2 ** 32;

/** First byte that an image may occupy: below are boot GDT, page tables and boot stack. */
export const FIRST_IMAGE_ADDRESS = BOOT_STACK_TOP;

/**
 * An application processor starts at guest-physical (vector of its start-up message) << 12, in 64-bit mode: see
 * `boot-state.ts`. As on a PC the vector reaches the first MiB only; images lie above, and copy their start there.
 */
export const STARTUP_VECTOR_SHIFT = 12;

/** Guest RAM when nothing else is asked for: roomy for test kernels, quick to clear. */
export const DEFAULT_MEMORY_BYTES = 64 * 2 ** 20;
/** Boot structures, a page for the image, and 2 MiB pages that ring-3 guests hand out. */
export const MINIMUM_MEMORY_BYTES = 2 * 2 ** 20;
/** RAM ends below the hole for devices under 4 GiB, and has to fit into one linear memory with all else. */
export const MAXIMUM_MEMORY_BYTES = 2 ** 30;

/** Ports of the devices in user space; those in the kernel (PIC, PIT) are registered by the hypervisor layer. */
export const PORT = {
  /** Reset through the keyboard controller. */
  KEYBOARD_COMMAND: 0x64,
  /** Power-on self-test codes. */
  POST: 0x80,
  /** Debug console of Bochs and QEMU. */
  DEBUG_CONSOLE: 0xe9,
  /** QEMU's isa-debug-exit at the place that test kernels use. Four ports wide. */
  DEBUG_EXIT: 0xf4,
  /** First serial port of a PC. Eight ports wide. */
  SERIAL: 0x3f8,
  /** Reset control register of the PIIX3. */
  RESET: 0xcf9,
} as const;
