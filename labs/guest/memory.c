/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Physical page frames and address spaces (SDM volume 3, 4.3: 32-bit paging).
 *
 * Every address space has the kernel's half, 4 MiB pages that show physical
 * memory at KERNEL_BASE, and a user half of 4 KiB pages of its own.  Programs'
 * heap and stack start empty: the first touch of a page faults, space_demand()
 * maps a zeroed frame, and the access is repeated by the CPU.
 *
 * Free frames are chained through their first word.
 */
#include "kernel.h"

enum { PTE_P = 1, PTE_W = 2, PTE_U = 4, PTE_PS = 0x80, PTE_G = 0x100, CR4_PGE = 0x80, CPUID_PGE = 1 << 13 };

#define KERNEL_SPACE_MAX (256u << 20)
#define ENTRY_FRAME(e) ((e) & 0xfffff000u)

static uint32_t kernel_directory[1024] __attribute__((aligned(4096)));
static uint32_t free_list, free_frames, all_frames;

extern char kernel_end[];

uint32_t kernel_space(void)
{
    return (uint32_t)kernel_directory - KERNEL_BASE;
}

static bool cpu_has_global_pages(void)
{
    uint32_t a = 1, b, c, d;

    asm volatile("cpuid" : "+a"(a), "=b"(b), "=c"(c), "=d"(d));
    return d & CPUID_PGE;
}

/* The kernel's half for good; the low mapping that boot.S needed is gone with it. */
static void kernel_map(uint32_t bytes)
{
    uint32_t global = cpu_has_global_pages() ? PTE_G : 0, cr4;

    for (uint32_t a = 0; a < bytes; a += 4u << 20)
        kernel_directory[(KERNEL_BASE + a) >> 22] = a | PTE_P | PTE_W | PTE_PS | global;
    write_cr3(kernel_space());
    if (global) {
        asm volatile("movl %%cr4, %0" : "=r"(cr4));
        asm volatile("movl %0, %%cr4" : : "r"(cr4 | CR4_PGE));
    }
    say("paging: on, %u MiB of memory in 4 MiB pages at %08x, low mapping removed\n", bytes >> 20, KERNEL_BASE);
}

void memory_init(uint32_t bytes)
{
    if (bytes > KERNEL_SPACE_MAX)
        bytes = KERNEL_SPACE_MAX;
    bytes &= ~((4u << 20) - 1);
    kernel_map(bytes);
    for (uint32_t frame = bytes - PAGE_SIZE; frame >= (uint32_t)kernel_end - KERNEL_BASE; frame -= PAGE_SIZE) {
        frame_free(frame);
        all_frames++;
    }
}

void memory_report(void)
{
    say("memory: %u page frames of 4 KiB, %u free\n", all_frames, free_frames);
}

uint32_t frame_alloc(void)
{
    uint32_t frame = free_list;

    if (frame == 0)
        return 0;
    free_list = *(uint32_t *)physical_pointer(frame);
    free_frames--;
    memset(physical_pointer(frame), 0, PAGE_SIZE);
    return frame;
}

void frame_free(uint32_t frame)
{
    *(uint32_t *)physical_pointer(frame) = free_list;
    free_list = frame;
    free_frames++;
}

uint32_t space_new(void)
{
    uint32_t directory = frame_alloc();

    if (directory)
        memcpy((uint32_t *)physical_pointer(directory) + (KERNEL_BASE >> 22),
               kernel_directory + (KERNEL_BASE >> 22), PAGE_SIZE / 4);
    return directory;
}

void space_free(uint32_t directory)
{
    uint32_t *entries = physical_pointer(directory);

    for (unsigned i = 0; i < KERNEL_BASE >> 22; i++) {
        uint32_t *table = physical_pointer(ENTRY_FRAME(entries[i]));

        if (!(entries[i] & PTE_P))
            continue;
        for (unsigned j = 0; j < 1024; j++)
            if (table[j] & PTE_P)
                frame_free(ENTRY_FRAME(table[j]));
        frame_free(ENTRY_FRAME(entries[i]));
    }
    frame_free(directory);
}

/* The page-table entry for a user address; NULL if there is no table (and none can be made). */
static uint32_t *entry_of(uint32_t directory, uint32_t linear, bool make)
{
    uint32_t *slot = (uint32_t *)physical_pointer(directory) + (linear >> 22);

    if (!(*slot & PTE_P)) {
        uint32_t table = make ? frame_alloc() : 0;

        if (table == 0)
            return NULL;
        *slot = table | PTE_P | PTE_W | PTE_U;
    }
    return (uint32_t *)physical_pointer(ENTRY_FRAME(*slot)) + (linear >> 12 & 1023);
}

bool space_map(uint32_t directory, uint32_t linear, uint32_t physical, bool writable)
{
    uint32_t *entry = entry_of(directory, linear, true);

    if (entry == NULL)
        return false;
    *entry = physical | PTE_P | PTE_U | (writable ? PTE_W : 0);
    asm volatile("invlpg (%0)" : : "r"(linear) : "memory");
    return true;
}

/* The kernel's view of a user page; NULL if there is none. */
void *space_page(uint32_t directory, uint32_t linear)
{
    uint32_t *entry = entry_of(directory, linear, false);

    return entry && (*entry & PTE_P) ? physical_pointer(ENTRY_FRAME(*entry)) : NULL;
}

static bool is_demand_zone(uint32_t linear)
{
    return (linear >= HEAP_START && linear < HEAP_END) || (linear >= STACK_START && linear < STACK_END);
}

bool space_demand(uint32_t directory, uint32_t linear)
{
    uint32_t frame;

    if (directory == kernel_space() || !is_demand_zone(linear))
        return false;
    frame = frame_alloc();
    if (frame == 0)
        return false;
    if (space_map(directory, linear & ~(PAGE_SIZE - 1), frame, true))
        return true;
    frame_free(frame);
    return false;
}

/* May a program hand these bytes to a system call?  (To read from: read-only pages will do.) */
bool space_accessible(uint32_t directory, uint32_t linear, uint32_t length)
{
    uint32_t end = linear + length;

    if (end < linear || end > KERNEL_BASE)
        return false;
    for (uint32_t page = linear & ~(PAGE_SIZE - 1); page < end; page += PAGE_SIZE)
        if (!space_page(directory, page) && !is_demand_zone(page))
            return false;
    return true;
}
