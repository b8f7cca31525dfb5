/*
 * Runs short pieces of x86-64 code on the processor at hand and reports what they did.
 *
 *   harness --identify      prints vendor, brand and family/model/stepping
 *   harness < cases > results
 *
 * A case is a `struct test_case`, a result a `struct test_result`, one for one. Each case starts at CODE_START in a
 * page full of INT3, with all general registers, the flags and a window of memory as given, and ends at whatever it
 * runs into: one of the INT3s or a fault. Both arrive here as a signal, whose frame holds every register; returning
 * from the signal with the registers of the next case starts that one. No register is spared for the harness.
 */
#define _GNU_SOURCE
#include <asm/prctl.h>
#include <cpuid.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <ucontext.h>
#include <unistd.h>

#define MEMORY_PAGES ((uint8_t *)0x10000000)
#define MEMORY_SIZE 0x2000
#define WINDOW_OFFSET 0xf80
#define WINDOW_SIZE 256
#define CODE_PAGE ((uint8_t *)0x11000000)
#define CODE_PAGE_SIZE 0x1000
#define CODE_OFFSET 0x800
#define MAX_CODE 512
#define INT3 0xcc
#ifndef SS_AUTODISARM
#define SS_AUTODISARM (1u << 31)
#endif

#define VECTOR_NONE 0xffffffffu
#define VECTOR_HANG 0xfffffffeu
#define VECTOR_BREAKPOINT 3
/* RFLAGS bits that a case may choose; the others are as the process has them. */
#define FLAGS_CHOSEN 0xcd5u

struct test_case {
  uint32_t code_length;
  uint32_t code_size; /* 64, or 32 for compatibility mode */
  uint8_t code[MAX_CODE];
  uint64_t registers[16]; /* in encoding order: RAX RCX RDX RBX RSP RBP RSI RDI R8 ... R15 */
  uint64_t rflags;
  uint8_t window[WINDOW_SIZE];
};

struct test_result {
  uint64_t registers[16];
  uint64_t rip;
  uint64_t rflags;
  uint32_t vector; /* VECTOR_NONE: ended at an INT3, `rip` is its address */
  uint32_t error_code;
  uint64_t cr2;
  uint32_t wrote_outside_window;
  uint32_t reserved;
  uint8_t window[WINDOW_SIZE];
};

static const int register_slots[16] = {
    REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI,
    REG_R8,  REG_R9,  REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15,
};

static struct test_case *cases;
static struct test_result *results;
static size_t case_count, current;
static int started;
static gregset_t registers_of_main;
static size_t case_at_last_tick = (size_t)-1;

static int is_zero(const uint8_t *bytes, size_t length) {
  return length == 0 || (bytes[0] == 0 && memcmp(bytes, bytes + 1, length - 1) == 0);
}

/* Selectors of Linux: __USER_CS, __USER32_CS, __USER_DS. */
#define CODE_SELECTOR_64 0x33
#define CODE_SELECTOR_32 0x23
#define DATA_SELECTOR 0x2b

static void begin_case(gregset_t registers) {
  const struct test_case *next = &cases[current];
  const greg_t selector = next->code_size == 32 ? CODE_SELECTOR_32 : CODE_SELECTOR_64;
  registers[REG_CSGSFS] = (registers[REG_CSGSFS] & ~(greg_t)0xffff) | selector;
  memset(CODE_PAGE, INT3, CODE_PAGE_SIZE);
  memcpy(CODE_PAGE + CODE_OFFSET, next->code, next->code_length);
  memcpy(MEMORY_PAGES + WINDOW_OFFSET, next->window, WINDOW_SIZE);
  for (int i = 0; i < 16; i++) registers[register_slots[i]] = (greg_t)next->registers[i];
  registers[REG_RIP] = (greg_t)(CODE_PAGE + CODE_OFFSET);
  registers[REG_EFL] =
      (registers_of_main[REG_EFL] & ~(greg_t)FLAGS_CHOSEN) | (greg_t)(next->rflags & FLAGS_CHOSEN);
}

static void end_case(const gregset_t registers, uint32_t vector) {
  struct test_result *result = &results[current];
  for (int i = 0; i < 16; i++) result->registers[i] = (uint64_t)registers[register_slots[i]];
  result->rip = (uint64_t)registers[REG_RIP];
  result->rflags = (uint64_t)registers[REG_EFL];
  result->vector = vector;
  if (vector == VECTOR_BREAKPOINT) {
    result->vector = VECTOR_NONE;
    result->rip -= 1;
  } else {
    result->error_code = (uint32_t)registers[REG_ERR];
    result->cr2 = (uint64_t)registers[REG_CR2];
  }
  memcpy(result->window, MEMORY_PAGES + WINDOW_OFFSET, WINDOW_SIZE);
  const size_t window_end = WINDOW_OFFSET + WINDOW_SIZE;
  if (!is_zero(MEMORY_PAGES, WINDOW_OFFSET) ||
      !is_zero(MEMORY_PAGES + window_end, MEMORY_SIZE - window_end)) {
    result->wrote_outside_window = 1;
    memset(MEMORY_PAGES, 0, MEMORY_SIZE);
  }
}

static void on_signal(int signal, siginfo_t *info, void *opaque) {
  ucontext_t *context = opaque;
  (void)info;
  gregset_t *registers = &context->uc_mcontext.gregs;
  uint32_t vector = (uint32_t)(*registers)[REG_TRAPNO];
  if (signal == SIGALRM) {
    const size_t before = case_at_last_tick;
    case_at_last_tick = current;
    if (!started || before != current) return;
    vector = VECTOR_HANG;
  }
  if (started) {
    end_case(*registers, vector);
    current++;
  } else {
    memcpy(registers_of_main, *registers, sizeof(gregset_t));
    started = 1;
  }
  if (current < case_count) {
    begin_case(*registers);
  } else {
    started = 0;
    memcpy(*registers, registers_of_main, sizeof(gregset_t));
  }
}

static void *map_at(uint8_t *address, size_t size, int protection) {
  void *mapped = mmap(address, size, protection, MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0);
  if (mapped != address) {
    perror("mmap");
    exit(1);
  }
  return mapped;
}

static void catch_signals(void) {
  static uint8_t stack[1 << 16];
  /* Without SS_AUTODISARM the kernel would take a case's RSP that happens to lie in `stack` for a nested signal. */
  const stack_t alternative = {.ss_sp = stack, .ss_flags = (int)SS_AUTODISARM, .ss_size = sizeof stack};
  sigaltstack(&alternative, NULL);
  struct sigaction action = {.sa_sigaction = on_signal, .sa_flags = SA_SIGINFO | SA_ONSTACK};
  sigfillset(&action.sa_mask);
  const int signals[] = {SIGTRAP, SIGSEGV, SIGILL, SIGBUS, SIGFPE, SIGALRM};
  for (size_t i = 0; i < sizeof signals / sizeof signals[0]; i++) sigaction(signals[i], &action, NULL);
}

static void set_hang_timer(long microseconds) {
  const struct itimerval timer = {{0, microseconds}, {0, microseconds}};
  setitimer(ITIMER_REAL, &timer, NULL);
}

static uint8_t *read_all(FILE *file, size_t *length) {
  size_t capacity = 1 << 20, used = 0, got;
  uint8_t *bytes = malloc(capacity);
  while ((got = fread(bytes + used, 1, capacity - used, file)) > 0) {
    used += got;
    if (used == capacity) bytes = realloc(bytes, capacity *= 2);
  }
  *length = used;
  return bytes;
}

static void identify(void) {
  uint32_t a, b, c, d;
  char vendor[13] = {0}, brand[49] = {0};
  __cpuid(0, a, b, c, d);
  memcpy(vendor, &b, 4);
  memcpy(vendor + 4, &d, 4);
  memcpy(vendor + 8, &c, 4);
  for (uint32_t i = 0; i < 3; i++) {
    __cpuid(0x80000002 + i, a, b, c, d);
    const uint32_t part[4] = {a, b, c, d};
    memcpy(brand + 16 * i, part, 16);
  }
  __cpuid(1, a, b, c, d);
  uint32_t family = (a >> 8) & 15, model = (a >> 4) & 15;
  if (family == 15 || family == 6) model |= (a >> 12) & 0xf0;
  if (family == 15) family += (a >> 20) & 0xff;
  printf("%s; %s; family %u model %u stepping %u\n", vendor, brand, family, model, a & 15);
}

int main(int argc, char **argv) {
  if (argc > 1 && strcmp(argv[1], "--identify") == 0) {
    identify();
    return 0;
  }
  size_t length;
  cases = (struct test_case *)read_all(stdin, &length);
  case_count = length / sizeof *cases;
  if (length % sizeof *cases != 0) {
    fprintf(stderr, "harness: input is not a whole number of cases\n");
    return 1;
  }
  results = calloc(case_count + 1, sizeof *results);
  map_at(MEMORY_PAGES, MEMORY_SIZE, PROT_READ | PROT_WRITE);
  map_at(CODE_PAGE, CODE_PAGE_SIZE, PROT_READ | PROT_WRITE | PROT_EXEC);
  syscall(SYS_arch_prctl, ARCH_SET_GS, MEMORY_PAGES);
  /* Null in 64-bit processes; 32-bit code needs them. */
  __asm__ volatile("mov %0, %%ds\n\tmov %0, %%es" ::"r"(DATA_SELECTOR));
  catch_signals();
  set_hang_timer(200000);
  if (case_count > 0) __asm__ volatile("int3" ::: "memory");
  set_hang_timer(0);
  fwrite(results, sizeof *results, case_count, stdout);
  return 0;
}
