/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Multiboot 1 (the GNU Multiboot Specification 0.6.96).
 *
 * A header in the first 8 KiB of the image, 4-aligned: magic, flags, checksum.
 * Flag 16 gives load addresses in the header itself (the "a.out kludge"),
 * otherwise the image is ELF.  The kernel starts with EAX = 0x2BADB002 and EBX
 * pointing to the information structure; modules follow the kernel, page
 * aligned; the structure and its strings lie in conventional memory.
 *
 * Not done: video modes (flag 2 is accepted, no framebuffer is offered), drives, APM.
 */
#include <string.h>

#include "base/bits.h"
#include "base/mem.h"
#include "host/image.h"

#define MB_HEADER_MAGIC 0x1badb002u
#define MB_BOOT_MAGIC 0x2badb002u
#define MB_SEARCH 8192u

enum { MBH_PAGE_ALIGN = 1 << 0, MBH_MEMORY_INFO = 1 << 1, MBH_VIDEO = 1 << 2, MBH_ADDRESSES = 1 << 16 };
/* Information flags, and where the fields are. */
enum { MBI_MEMORY = 1 << 0, MBI_CMDLINE = 1 << 2, MBI_MODS = 1 << 3, MBI_MMAP = 1 << 6, MBI_LOADER = 1 << 9 };
enum {
    MBI_OFF_MEM_LOWER = 4,
    MBI_OFF_MEM_UPPER = 8,
    MBI_OFF_CMDLINE = 16,
    MBI_OFF_MODS_COUNT = 20,
    MBI_OFF_MODS_ADDR = 24,
    MBI_OFF_MMAP_LENGTH = 44,
    MBI_OFF_MMAP_ADDR = 48,
    MBI_OFF_LOADER = 64,
    MBI_SIZE = 120,
};

#define BLOCK_MAX 16384u /* information, map, module list and strings */

long multiboot_header(const struct image *img)
{
    size_t end = img->size < MB_SEARCH ? img->size : MB_SEARCH;

    for (size_t off = 0; off + 12 <= end; off += 4) {
        const uint8_t *h = img->data + off;
        if (get32(h) == MB_HEADER_MAGIC && get32(h) + get32(h + 4) + get32(h + 8) == 0)
            return (long)off;
    }
    return -1;
}

/* The header says where its image goes. */
static bool place_by_header(const struct image *img, size_t off, struct guestram *ram, uint32_t *entry)
{
    if (img->size - off < 32)
        return guestram_fail(ram, "truncated multiboot header");
    const uint8_t *h = img->data + off;
    uint32_t header_addr = get32(h + 12), load_addr = get32(h + 16), load_end = get32(h + 20);
    uint32_t bss_end = get32(h + 24);

    if (header_addr < load_addr || header_addr - load_addr > off)
        return guestram_fail(ram, "corrupt multiboot header: load address %#x", load_addr);
    size_t start = off - (header_addr - load_addr);
    uint64_t len = img->size - start;
    if (load_end) {
        if (load_end < load_addr || load_end - load_addr > len)
            return guestram_fail(ram, "truncated or corrupt multiboot image: it should end at %#x", load_end);
        len = load_end - load_addr;
    }
    uint64_t total = len;
    if (bss_end) {
        if (bss_end < load_addr + len)
            return guestram_fail(ram, "corrupt multiboot header: bss ends at %#x", bss_end);
        total = bss_end - load_addr;
    }
    *entry = get32(h + 28);
    if (*entry < load_addr || *entry - load_addr >= total)
        return guestram_fail(ram, "corrupt multiboot header: entry point %#x", *entry);
    return guestram_place(ram, load_addr, img->data + start, len, total, "the multiboot image");
}

/* A block of conventional memory under construction: addresses are known before it is placed. */
struct block {
    gpa_t gpa;
    uint32_t used;
    bool full;
    uint8_t data[BLOCK_MAX];
};

static uint32_t block_add(struct block *k, const void *data, size_t len)
{
    uint32_t at = (uint32_t)align_up(k->used, 8);

    if (len > BLOCK_MAX || at + len > BLOCK_MAX) {
        k->full = true;
        return 0;
    }
    if (data)
        memcpy(k->data + at, data, len);
    k->used = at + (uint32_t)len;
    return at;
}

static uint32_t block_string(struct block *k, const char *s)
{
    return (uint32_t)k->gpa + block_add(k, s, strlen(s) + 1);
}

static bool place_modules(const struct boot_images *b, struct guestram *ram, struct block *k)
{
    uint32_t list = block_add(k, NULL, 16u * b->modules);
    gpa_t low = 0;

    for (unsigned i = 0; i < ram->count; i++)
        low = max_u64(low, ram->used[i].end);
    low = align_up(max_u64(low, 0x100000), PAGE_SIZE);
    for (unsigned i = 0; i < b->modules; i++) {
        const struct image *m = &b->module[i];
        uint32_t name = block_string(k, b->module_args[i]);
        if (!guestram_place(ram, low, m->data, m->size, align_up(m->size, PAGE_SIZE), "a module"))
            return false;
        if (!k->full) {
            put32(k->data + list + 16 * i, (uint32_t)low);
            put32(k->data + list + 16 * i + 4, (uint32_t)(low + m->size));
            put32(k->data + list + 16 * i + 8, name);
        }
        low += align_up(m->size, PAGE_SIZE);
    }
    put32(k->data + MBI_OFF_MODS_COUNT, b->modules);
    put32(k->data + MBI_OFF_MODS_ADDR, (uint32_t)k->gpa + list);
    return true;
}

static void add_memory_map(struct block *k, uint64_t ram_size)
{
    const struct {
        uint64_t start, end;
        uint32_t type;
    } map[] = {
        {0, GUESTRAM_LOW_END, 1},
        {GUESTRAM_LOW_END, 0xa0000, 2},
        {0xf0000, 0x100000, 2},
        {0x100000, ram_size, 1},
    };
    uint8_t text[ARRAY_SIZE(map) * 24];

    for (unsigned i = 0; i < ARRAY_SIZE(map); i++) {
        put32(text + 24 * i, 20); /* size of what follows */
        put64(text + 24 * i + 4, map[i].start);
        put64(text + 24 * i + 12, map[i].end - map[i].start);
        put32(text + 24 * i + 20, map[i].type);
    }
    uint32_t at = block_add(k, text, sizeof text);
    put32(k->data + MBI_OFF_MMAP_LENGTH, sizeof text);
    put32(k->data + MBI_OFF_MMAP_ADDR, (uint32_t)k->gpa + at);
}

static bool place_information(const struct boot_images *b, struct guestram *ram, struct boot_state *boot)
{
    struct block k = {0};

    if (!guestram_find(ram, BLOCK_MAX, PAGE_SIZE, PAGE_SIZE, GUESTRAM_LOW_END, &k.gpa))
        return guestram_fail(ram, "no room below 640K for the multiboot information");
    block_add(&k, NULL, MBI_SIZE);
    put32(k.data, MBI_MEMORY | MBI_CMDLINE | MBI_MODS | MBI_MMAP | MBI_LOADER);
    put32(k.data + MBI_OFF_MEM_LOWER, GUESTRAM_LOW_END >> 10);
    put32(k.data + MBI_OFF_MEM_UPPER, (uint32_t)((ram->size - 0x100000) >> 10));
    add_memory_map(&k, ram->size);
    put32(k.data + MBI_OFF_LOADER, block_string(&k, "btvmm"));
    put32(k.data + MBI_OFF_CMDLINE, block_string(&k, b->cmdline));
    if (!place_modules(b, ram, &k))
        return false;
    if (k.full)
        return guestram_fail(ram, "-append and -initrd: the command lines are too long");
    boot->gpr[3] = (uint32_t)k.gpa; /* EBX */
    return guestram_place(ram, k.gpa, k.data, k.used, BLOCK_MAX, "the multiboot information");
}

bool multiboot_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot)
{
    const struct image *img = &b->kernel;
    long off = multiboot_header(img);

    if (off < 0)
        return guestram_fail(ram, "no multiboot header");
    uint32_t flags = get32(img->data + off + 4);
    if ((flags & 0xffff) & ~(uint32_t)(MBH_PAGE_ALIGN | MBH_MEMORY_INFO | MBH_VIDEO))
        return guestram_fail(ram, "multiboot flags %#x ask for what is not offered", flags);
    bool ok = flags & MBH_ADDRESSES ? place_by_header(img, (size_t)off, ram, &boot->eip)
                                    : elf_place(img, ram, &boot->eip);
    if (!ok || !place_information(b, ram, boot) || !boot_flat_gdt(ram, boot))
        return false;
    boot->gpr[0] = MB_BOOT_MAGIC; /* EAX */
    return true;
}
