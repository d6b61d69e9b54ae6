/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Linux bzImages by the 32-bit boot protocol (Documentation/arch/x86/boot.rst
 * in the kernel's sources, "32-bit Boot Protocol").
 *
 * The file is a real-mode part (boot sector and setup, not used here) and the
 * protected-mode kernel.  We do what the setup code would have done: load the
 * kernel at 1 MiB, fill a boot_params page with the setup header, the memory
 * map and the addresses of command line and initrd, and start at code32_start
 * with flat segments, paging off, and ESI pointing to boot_params.
 *
 * Low memory:  0x10000 boot_params, 0x20000 command line, the GDT at the top.
 */
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/image.h"

/* Offsets in the file's setup header and, the same, in boot_params. */
enum {
    HDR_SETUP_SECTS = 0x1f1,
    HDR_VID_MODE = 0x1fa,
    HDR_JUMP_LEN = 0x201, /* end of the header = 0x202 + this byte */
    HDR_VERSION = 0x206,
    HDR_TYPE_OF_LOADER = 0x210,
    HDR_LOADFLAGS = 0x211,
    HDR_CODE32_START = 0x214,
    HDR_RAMDISK_IMAGE = 0x218,
    HDR_RAMDISK_SIZE = 0x21c,
    HDR_CMD_LINE_PTR = 0x228,
    HDR_INITRD_ADDR_MAX = 0x22c,
    HDR_XLOADFLAGS = 0x236,
    HDR_CMDLINE_SIZE = 0x238,
    HDR_PREF_ADDRESS = 0x258,
    HDR_INIT_SIZE = 0x260,
};
enum { BP_ALT_MEM_K = 0x1e0, BP_E820_ENTRIES = 0x1e8, BP_SENTINEL = 0x1ef, BP_E820_TABLE = 0x2d0 };
enum { LOADFLAGS_LOADED_HIGH = 1 << 0, XLF_KERNEL_64 = 1 << 0 };
enum { E820_RAM = 1, E820_RESERVED = 2 };

#define KERNEL_GPA 0x100000u
#define BOOT_PARAMS_GPA 0x10000u
#define CMDLINE_GPA 0x20000u
#define CMDLINE_ROOM 0x10000u

struct setup {
    const uint8_t *data;
    unsigned version, header_end;
    uint64_t kernel_offset, kernel_size;
    uint32_t code32_start, initrd_addr_max, cmdline_size;
    uint64_t high_end;           /* first byte above what the kernel needs while it unpacks itself */
};

/* Fields younger than the image's protocol version read as their documented defaults. */
static bool parse_setup(const struct image *img, struct guestram *ram, struct setup *s)
{
    const uint8_t *d = img->data;

    if (img->size < 0x1000)
        return guestram_fail(ram, "truncated bzImage: the setup code is missing");
    s->data = d;
    s->version = get16(d + HDR_VERSION);
    s->header_end = 0x202u + d[HDR_JUMP_LEN];
    if (s->version < 0x202)
        return guestram_fail(ram, "boot protocol %u.%02u is too old, 2.02 is needed", s->version >> 8,
                             s->version & 0xff);
    if (!(d[HDR_LOADFLAGS] & LOADFLAGS_LOADED_HIGH))
        return guestram_fail(ram, "a zImage that loads low; only bzImages are supported");
    if (s->version >= 0x20c && (get16(d + HDR_XLOADFLAGS) & XLF_KERNEL_64))
        return guestram_fail(ram, "a 64-bit Linux kernel; only i386 guests run here");

    unsigned sects = d[HDR_SETUP_SECTS] ? d[HDR_SETUP_SECTS] : 4;
    s->kernel_offset = (sects + 1) * 512ull;
    if (s->kernel_offset >= img->size)
        return guestram_fail(ram, "truncated bzImage: no kernel after %u setup sectors", sects);
    s->kernel_size = img->size - s->kernel_offset;
    s->code32_start = get32(d + HDR_CODE32_START);
    s->initrd_addr_max = s->version >= 0x203 ? get32(d + HDR_INITRD_ADDR_MAX) : 0x37ffffff;
    s->cmdline_size = s->version >= 0x206 ? get32(d + HDR_CMDLINE_SIZE) : 255;

    s->high_end = KERNEL_GPA + s->kernel_size;
    if (s->version >= 0x20a) {
        uint64_t pref = get64(d + HDR_PREF_ADDRESS);
        if (pref > UINT32_MAX)
            return guestram_fail(ram, "corrupt bzImage: preferred address %#llx", (unsigned long long)pref);
        s->high_end = max_u64(s->high_end, max_u64(pref, KERNEL_GPA) + get32(d + HDR_INIT_SIZE));
    }
    return true;
}

static bool place_kernel(const struct setup *s, struct guestram *ram)
{
    if (s->high_end > ram->size)
        return guestram_fail(
            ram, "this kernel needs %llu MiB of RAM to unpack itself, the guest has %llu (see -m)",
            (unsigned long long)(align_up(s->high_end, 1 << 20) >> 20),
            (unsigned long long)(ram->size >> 20));
    if (s->code32_start < KERNEL_GPA || s->code32_start >= KERNEL_GPA + s->kernel_size)
        return guestram_fail(ram, "corrupt bzImage: code32_start %#x", s->code32_start);
    uint64_t kernel_end = KERNEL_GPA + s->kernel_size;
    return guestram_place(ram, KERNEL_GPA, s->data + s->kernel_offset, s->kernel_size, s->kernel_size,
                          "the kernel") &&
           guestram_reserve(ram, kernel_end, s->high_end - kernel_end, "the kernel's workspace");
}

static void e820_add(uint8_t *bp, uint64_t start, uint64_t end, uint32_t type)
{
    uint8_t *e = bp + BP_E820_TABLE + 20u * bp[BP_E820_ENTRIES]++;
    put64(e, start);
    put64(e + 8, end - start);
    put32(e + 16, type);
}

static void fill_memory_map(uint8_t *bp, uint64_t ram_size)
{
    e820_add(bp, 0, GUESTRAM_LOW_END, E820_RAM);
    e820_add(bp, GUESTRAM_LOW_END, 0xa0000, E820_RESERVED);
    e820_add(bp, 0xf0000, 0x100000, E820_RESERVED);
    e820_add(bp, 0x100000, ram_size, E820_RAM);
    put32(bp + BP_ALT_MEM_K, (uint32_t)((ram_size - 0x100000) >> 10));
}

/* As high as the kernel can reach and RAM goes. */
static bool place_initrd(const struct boot_images *b, const struct setup *s, struct guestram *ram,
                         uint8_t *bp)
{
    const struct image *m = &b->module[0];
    gpa_t gpa;

    if (!b->modules)
        return true;
    if (!guestram_find(ram, m->size, PAGE_SIZE, s->high_end, (gpa_t)s->initrd_addr_max + 1, &gpa))
        return guestram_fail(ram, "no room for the initrd '%s' of %zu KiB above the kernel (see -m)", m->name,
                             m->size >> 10);
    put32(bp + HDR_RAMDISK_IMAGE, (uint32_t)gpa);
    put32(bp + HDR_RAMDISK_SIZE, (uint32_t)m->size);
    return guestram_place(ram, gpa, m->data, m->size, m->size, "the initrd");
}

static bool place_cmdline(const struct boot_images *b, const struct setup *s, struct guestram *ram,
                          uint8_t *bp)
{
    size_t len = strlen(b->cmdline);
    uint64_t max = min_u64(s->cmdline_size, CMDLINE_ROOM - 1);

    if (len > max)
        return guestram_fail(ram, "-append: %zu characters, this kernel takes %llu", len,
                             (unsigned long long)max);
    put32(bp + HDR_CMD_LINE_PTR, CMDLINE_GPA);
    return guestram_place(ram, CMDLINE_GPA, b->cmdline, len, len + 1, "the command line");
}

/* The words of the BIOS data area that kernels look at: EBDA segment, conventional memory. */
static bool place_bios_data(struct guestram *ram)
{
    uint8_t bda[0x100] = {0};

    put16(bda + 0x0e, GUESTRAM_LOW_END >> 4);
    put16(bda + 0x13, GUESTRAM_LOW_END >> 10);
    return guestram_place(ram, 0x400, bda, sizeof bda, sizeof bda, "the BIOS data area");
}

bool bzimage_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot)
{
    uint8_t bp[PAGE_SIZE] = {0};
    struct setup s = {0};

    if (!parse_setup(&b->kernel, ram, &s) || !place_kernel(&s, ram))
        return false;
    memcpy(bp + HDR_SETUP_SECTS, s.data + HDR_SETUP_SECTS, s.header_end - HDR_SETUP_SECTS);
    put16(bp + HDR_VID_MODE, 0xffff); /* normal */
    bp[HDR_TYPE_OF_LOADER] = 0xff;    /* none of the registered ones */
    fill_memory_map(bp, ram->size);
    if (!place_initrd(b, &s, ram, bp) || !place_cmdline(b, &s, ram, bp) || !place_bios_data(ram) ||
        !guestram_place(ram, BOOT_PARAMS_GPA, bp, sizeof bp, sizeof bp, "boot_params") ||
        !boot_flat_gdt(ram, boot))
        return false;
    boot->eip = s.code32_start;
    boot->gpr[6] = BOOT_PARAMS_GPA; /* ESI; EBP, EDI and EBX are zero */
    return true;
}
