/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Processes: a ring-3 program with an address space and a kernel stack of its
 * own, and the round-robin scheduler that shares the CPU among them.
 *
 * Process 0 is the kernel's own thread (the demonstration and the prompt); it
 * never enters ring 3.  Whoever calls schedule() is left on its kernel stack
 * until its turn comes again.  When nobody is ready the CPU halts with
 * interrupts open: the timer or the serial line will wake somebody.
 */
#include "kernel.h"

/* What programs.S embeds.  ORDER programs.S */
struct program {
    const char *name;
    const uint8_t *image, *image_end;
};

struct elf_header {
    uint8_t ident[16];
    uint16_t type, machine;
    uint32_t version, entry, phoff, shoff, flags;
    uint16_t ehsize, phentsize, phnum, shentsize, shnum, shstrndx;
};

struct elf_segment {
    uint32_t type, offset, vaddr, paddr, filesz, memsz, flags, align;
};

enum { PT_LOAD = 1, PF_W = 2, EFLAGS_IF = 0x200, EFLAGS_FIXED = 2 };

extern const struct program programs[];
extern const uint32_t programs_count;
extern char trap_return[], boot_stack_top[];
void switch_stack(uint32_t *old_esp, uint32_t new_esp);

struct process processes[PROCESS_MAX];
struct process *current;
static uint32_t next_pid;

void process_init(void)
{
    current = &processes[0];
    *current = (struct process){ .state = PROCESS_READY, .name = "kernel", .directory = kernel_space() };
    cpu_set_kernel_stack((uint32_t)boot_stack_top);
}

const char *program_name(unsigned i)
{
    return i < programs_count ? programs[i].name : NULL;
}

static const struct program *program_find(const char *name)
{
    for (unsigned i = 0; i < programs_count; i++)
        if (text_equal(programs[i].name, name))
            return &programs[i];
    return NULL;
}

/* One segment of a program: frames filled from the image, the rest of the last page zero. */
static bool load_segment(uint32_t directory, const uint8_t *image, const struct elf_segment *s)
{
    for (uint32_t done = 0; done < s->memsz;) {
        uint32_t linear = s->vaddr + done, in_page = linear % PAGE_SIZE;
        uint32_t n = PAGE_SIZE - in_page < s->memsz - done ? PAGE_SIZE - in_page : s->memsz - done;
        uint8_t *page = space_page(directory, linear);

        if (page == NULL) {
            uint32_t frame = frame_alloc();

            if (frame == 0)
                return false;
            if (!space_map(directory, linear - in_page, frame, s->flags & PF_W)) {
                frame_free(frame);
                return false;
            }
            page = physical_pointer(frame);
        }
        if (done < s->filesz)
            memcpy(page + in_page, image + s->offset + done, n < s->filesz - done ? n : s->filesz - done);
        done += n;
    }
    return true;
}

static bool load(uint32_t directory, const struct program *p)
{
    const struct elf_header *h = (const void *)p->image;
    const struct elf_segment *s = (const void *)(p->image + h->phoff);

    for (unsigned i = 0; i < h->phnum; i++)
        if (s[i].type == PT_LOAD && !load_segment(directory, p->image, &s[i]))
            return false;
    return true;
}

/*
 * A kernel stack as if the process had just trapped from its first instruction
 * and then called switch_stack(): four saved registers and a return address
 * below the trap frame.
 */
static uint32_t first_stack(uint32_t stack_page, uint32_t entry, uint32_t argument)
{
    uint32_t top = (uint32_t)physical_pointer(stack_page) + PAGE_SIZE;
    struct trap_frame *f = (struct trap_frame *)top - 1;
    uint32_t *sp = (uint32_t *)f;

    *f = (struct trap_frame){ .eax = argument, .ds = SEL_USER_DATA, .es = SEL_USER_DATA, .eip = entry,
                              .cs = SEL_USER_CODE, .eflags = EFLAGS_IF | EFLAGS_FIXED,
                              .esp = STACK_END - 16, .ss = SEL_USER_DATA };
    *--sp = (uint32_t)trap_return;
    for (unsigned i = 0; i < 4; i++)
        *--sp = 0;
    return (uint32_t)sp;
}

static void release(struct process *p)
{
    if (p->directory)
        space_free(p->directory);
    if (p->stack_page)
        frame_free(p->stack_page);
    *p = (struct process){ .state = PROCESS_FREE };
}

int32_t process_spawn(const char *name, uint32_t argument)
{
    const struct program *program = program_find(name);
    struct process *p = NULL;

    for (unsigned i = 1; i < PROCESS_MAX && p == NULL; i++)
        if (processes[i].state == PROCESS_FREE)
            p = &processes[i];
    if (program == NULL || p == NULL)
        return -1;
    *p = (struct process){ .state = PROCESS_FREE, .name = program->name, .pid = ++next_pid, .parent = current->pid };
    p->directory = space_new();
    p->stack_page = frame_alloc();
    if (p->directory == 0 || p->stack_page == 0 || !load(p->directory, program)) {
        release(p);
        return -1;
    }
    p->kernel_esp = first_stack(p->stack_page, ((const struct elf_header *)program->image)->entry, argument);
    p->state = PROCESS_READY;
    return p->pid;
}

static struct process *find(uint32_t pid)
{
    for (unsigned i = 1; i < PROCESS_MAX; i++)
        if (processes[i].state != PROCESS_FREE && processes[i].pid == pid)
            return &processes[i];
    return NULL;
}

/* A child whose parent is gone is cleaned up by process 0's next wait. */
static void orphans_to_kernel(uint32_t pid)
{
    for (unsigned i = 1; i < PROCESS_MAX; i++)
        if (processes[i].state != PROCESS_FREE && processes[i].parent == pid)
            processes[i].parent = 0;
}

void process_exit(int32_t status)
{
    current->status = status;
    current->state = PROCESS_ENDED;
    orphans_to_kernel(current->pid);
    schedule();
    __builtin_unreachable();
}

int32_t process_wait(uint32_t pid)
{
    struct process *p = find(pid);
    int32_t status;

    if (p == NULL || p->parent != current->pid)
        return -1;
    while (p->state != PROCESS_ENDED) {
        current->state = PROCESS_WAITING;
        current->waiting_for = pid;
        schedule();
    }
    status = p->status;
    release(p);
    return status;
}

void process_sleep_until(uint32_t tick)
{
    current->wake_tick = tick;
    current->state = PROCESS_SLEEPING;
    schedule();
}

/* Until something is typed, or (tick not 0) until then. */
void process_wait_input(uint32_t tick)
{
    current->wake_tick = tick;
    current->waiting_for = 0;
    current->state = PROCESS_WAITING;
    schedule();
}

static bool can_run(struct process *p)
{
    bool due = (int32_t)(ticks - p->wake_tick) >= 0;
    struct process *child;

    switch (p->state) {
    case PROCESS_READY:
        return true;
    case PROCESS_SLEEPING:
        return due;
    case PROCESS_WAITING:
        if (p->waiting_for == 0)
            return console_has_input() || (p->wake_tick && due);
        child = find(p->waiting_for);
        return child == NULL || child->state == PROCESS_ENDED;
    default:
        return false;
    }
}

static struct process *pick(void)
{
    unsigned start = current - processes;

    for (unsigned i = 1; i <= PROCESS_MAX; i++) {
        struct process *p = &processes[(start + i) % PROCESS_MAX];

        if (can_run(p))
            return p;
    }
    return NULL;
}

void schedule(void)
{
    struct process *next, *old = current;

    while ((next = pick()) == NULL)
        asm volatile("sti; hlt; cli" : : : "memory"); /* STI's shadow covers the HLT: no interrupt is lost */
    next->state = PROCESS_READY;
    if (next == old)
        return;
    current = next;
    if (next->stack_page)
        cpu_set_kernel_stack((uint32_t)physical_pointer(next->stack_page) + PAGE_SIZE);
    write_cr3(next->directory);
    switch_stack(&old->kernel_esp, next->kernel_esp);
}
