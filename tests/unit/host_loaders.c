/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The loaders on images made here: what goes where, and every complaint. */
#include <criterion/criterion.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"
#include "host/image.h"

#define RAM_SIZE (32u << 20)

static struct guestram ram;
static struct boot_images b;
static struct boot_state boot;
static uint8_t image[0x8000], initrd[5000];

static void setup(void)
{
    guestram_init(&ram, calloc(1, RAM_SIZE), RAM_SIZE);
    memset(initrd, 0x5a, sizeof initrd);
    b.kernel = (struct image){"test", image, sizeof image};
    b.cmdline = "console=ttyS0 quiet";
}

static void add_initrd(void)
{
    b.module[b.modules] = (struct image){"initrd", initrd, sizeof initrd};
    b.module_args[b.modules++] = "mod arg";
}

static void expect_load(void)
{
    cr_assert(boot_images_load(&b, &ram, &boot), "%s", ram.err);
    cr_expect_eq(boot.protected_mode, 1);
    cr_expect_eq(boot.cs, 0x10);
    cr_expect_eq(boot.ds, 0x18);
    cr_expect_eq(boot.gdt_limit, 31);
    cr_expect_eq(get64(ram.base + boot.gdt_base + 0x10), 0x00cf9b000000ffff);
    cr_expect_eq(get64(ram.base + boot.gdt_base + 0x18), 0x00cf93000000ffff);
}

static void expect_refusal(const char *part)
{
    cr_assert(!boot_images_load(&b, &ram, &boot));
    cr_expect(strstr(ram.err, part), "'%s' not in '%s'", part, ram.err);
    cr_expect(!strchr(ram.err, '\n'));
}

TestSuite(host_loaders, .init = setup);

/* --- bzImage --- */

static void make_bzimage(void)
{
    image[0x1f1] = 4;
    put16(image + 0x1fe, 0xaa55);
    image[0x201] = 0x66;
    memcpy(image + 0x202, "HdrS", 4);
    put16(image + 0x206, 0x20f);
    image[0x211] = 1;
    put32(image + 0x214, 0x100000);
    put32(image + 0x22c, 0x7fffffff);
    put32(image + 0x238, 2047);
    put64(image + 0x258, 0x400000);
    put32(image + 0x260, 0x800000);
    memset(image + 5 * 512, 0x90, sizeof image - 5 * 512);
}

Test(host_loaders, bzimage)
{
    make_bzimage();
    add_initrd();
    expect_load();
    cr_expect_eq(boot.eip, 0x100000);
    cr_expect_eq(ram.base[0x100000], 0x90);
    cr_expect_eq(ram.base[0x100000 + sizeof image - 5 * 512 - 1], 0x90);
    cr_expect_eq(ram.base[0x100000 + sizeof image - 5 * 512], 0);

    const uint8_t *bp = ram.base + boot.gpr[6];
    cr_expect(!memcmp(bp + 0x202, "HdrS", 4));
    cr_expect_eq(bp[0x210], 0xff);
    cr_expect_str_eq((char *)ram.base + get32(bp + 0x228), "console=ttyS0 quiet");
    cr_expect_eq(bp[0x1e8], 4);
    cr_expect_eq(get64(bp + 0x2d0 + 60), 0x100000);
    cr_expect_eq(get64(bp + 0x2d0 + 68), RAM_SIZE - 0x100000);
    uint32_t at = get32(bp + 0x218);
    cr_expect_eq(get32(bp + 0x21c), sizeof initrd);
    cr_expect(at % PAGE_SIZE == 0 && at >= 0xc00000 && at + sizeof initrd <= RAM_SIZE);
    cr_expect(!memcmp(ram.base + at, initrd, sizeof initrd));
}

Test(host_loaders, bzimage_initrd_keeps_below_its_limit)
{
    make_bzimage();
    put32(image + 0x22c, 0xffffff);
    add_initrd();
    expect_load();
    cr_expect_leq(get32(ram.base + boot.gpr[6] + 0x218) + sizeof initrd, 0x1000000);
}

Test(host_loaders, bzimage_without_room)
{
    make_bzimage();
    put32(image + 0x260, RAM_SIZE);
    expect_refusal("needs 36 MiB of RAM");
}

Test(host_loaders, bzimage_initrd_without_room)
{
    make_bzimage();
    put32(image + 0x260, RAM_SIZE - 0x400000 - PAGE_SIZE);
    add_initrd();
    expect_refusal("no room for the initrd");
}

Test(host_loaders, bzimage_old)
{
    make_bzimage();
    put16(image + 0x206, 0x201);
    expect_refusal("too old");
}

Test(host_loaders, bzimage_64_bit)
{
    make_bzimage();
    put16(image + 0x236, 1);
    expect_refusal("64-bit");
}

Test(host_loaders, bzimage_zimage)
{
    make_bzimage();
    image[0x211] = 0;
    expect_refusal("zImage");
}

Test(host_loaders, bzimage_truncated)
{
    make_bzimage();
    b.kernel.size = 0x300;
    expect_refusal("truncated");
    b.kernel.size = 0x1000;
    image[0x1f1] = 64;
    ram.err[0] = '\0';
    expect_refusal("truncated");
}

Test(host_loaders, bzimage_long_command_line)
{
    static char line[4096];

    make_bzimage();
    memset(line, 'x', 2048);
    b.cmdline = line;
    expect_refusal("2048 characters");
}

Test(host_loaders, bzimage_corrupt_entry)
{
    make_bzimage();
    put32(image + 0x214, 0x90000000);
    expect_refusal("code32_start");
}

/* --- ELF --- */

static void segment(unsigned i, uint32_t off, uint32_t va, uint32_t pa, uint32_t filesz, uint32_t memsz)
{
    uint8_t *ph = image + 52 + 32 * i;

    put32(ph, 1);
    put32(ph + 4, off);
    put32(ph + 8, va);
    put32(ph + 12, pa);
    put32(ph + 16, filesz);
    put32(ph + 20, memsz);
    put32(ph + 24, 5);
    put16(image + 44, (uint16_t)(i + 1));
}

static void make_elf(uint32_t entry)
{
    memcpy(image, "\177ELF\1\1\1", 7);
    put16(image + 16, 2);
    put16(image + 18, 3);
    put32(image + 20, 1);
    put32(image + 24, entry);
    put32(image + 28, 52);
    put16(image + 40, 52);
    put16(image + 42, 32);
    memset(image + 0x1000, 0x11, 0x1000);
    segment(0, 0x1000, 0xc0100000, 0x100000, 0x1000, 0x2000);
}

Test(host_loaders, elf_physical_entry)
{
    make_elf(0x100010);
    ram.base[0x101000] = 0xee; /* bss is cleared */
    expect_load();
    cr_expect_eq(boot.eip, 0x100010);
    cr_expect_eq(ram.base[0x100fff], 0x11);
    cr_expect_eq(ram.base[0x101000], 0);
}

Test(host_loaders, elf_virtual_entry_moves_with_its_segment)
{
    make_elf(0xc0100020);
    expect_load();
    cr_expect_eq(boot.eip, 0x100020);
}

Test(host_loaders, elf_refusals)
{
    make_elf(0x100010);
    add_initrd();
    expect_refusal("no -initrd");
}

Test(host_loaders, elf_64_bit)
{
    make_elf(0x100010);
    image[4] = 2;
    expect_refusal("64-bit");
}

Test(host_loaders, elf_other_machine)
{
    make_elf(0x100010);
    put16(image + 18, 8);
    expect_refusal("another machine");
}

Test(host_loaders, elf_shared_object)
{
    make_elf(0x100010);
    put16(image + 16, 3);
    expect_refusal("fixed addresses");
}

Test(host_loaders, elf_outside_ram)
{
    make_elf(0x100010);
    segment(0, 0x1000, 0x100000, 0xfffff000, 0x1000, 0x2000);
    expect_refusal("does not fit");
}

Test(host_loaders, elf_over_video_memory)
{
    make_elf(0x100010);
    segment(0, 0x1000, 0x9f000, 0x9f000, 0x1000, 0x2000);
    expect_refusal("video memory");
}

Test(host_loaders, elf_truncated)
{
    make_elf(0x100010);
    segment(0, 0x7800, 0x100000, 0x100000, 0x1000, 0x2000);
    expect_refusal("truncated");
}

Test(host_loaders, elf_offset_overflow)
{
    make_elf(0x100010);
    segment(0, 0xfffffff0, 0x100000, 0x100000, 0x1000, 0x2000);
    expect_refusal("truncated");
}

Test(host_loaders, elf_file_longer_than_memory)
{
    make_elf(0x100010);
    segment(0, 0x1000, 0x100000, 0x100000, 0x1000, 0x800);
    expect_refusal("longer in the file");
}

Test(host_loaders, elf_header_only)
{
    make_elf(0x100010);
    b.kernel.size = 40;
    expect_refusal("truncated");
}

Test(host_loaders, elf_without_segments)
{
    make_elf(0x100010);
    put32(image + 52, 4); /* PT_NOTE */
    expect_refusal("without loadable segments");
}

Test(host_loaders, elf_entry_outside)
{
    make_elf(0x90000000);
    expect_refusal("entry point");
}

/* --- multiboot --- */

static void mb_header(unsigned off, uint32_t flags)
{
    put32(image + off, 0x1badb002);
    put32(image + off + 4, flags);
    put32(image + off + 8, -(0x1badb002u + flags));
}

Test(host_loaders, multiboot_elf)
{
    make_elf(0x100010);
    mb_header(0x1000, 3);
    add_initrd();
    add_initrd();
    expect_load();
    cr_expect_eq(boot.gpr[0], 0x2badb002);

    const uint8_t *info = ram.base + boot.gpr[3];
    cr_expect_eq(get32(info) & 0x4d, 0x4d);
    cr_expect_eq(get32(info + 4), 639);
    cr_expect_eq(get32(info + 8), (RAM_SIZE >> 10) - 1024);
    cr_expect_str_eq((char *)ram.base + get32(info + 16), "console=ttyS0 quiet");
    cr_expect_eq(get32(info + 20), 2);
    const uint8_t *mods = ram.base + get32(info + 24);
    for (int i = 0; i < 2; i++, mods += 16) {
        cr_expect_eq(get32(mods + 4) - get32(mods), sizeof initrd);
        cr_expect(get32(mods) % PAGE_SIZE == 0 && get32(mods) >= 0x102000);
        cr_expect(!memcmp(ram.base + get32(mods), initrd, sizeof initrd));
        cr_expect_str_eq((char *)ram.base + get32(mods + 8), "mod arg");
    }
    /* The map: entries of 20 bytes behind a size word. */
    const uint8_t *map = ram.base + get32(info + 48);
    cr_expect_eq(get32(info + 44), 96);
    cr_expect_eq(get32(map + 72), 20);
    cr_expect_eq(get64(map + 76), 0x100000);
    cr_expect_eq(get64(map + 84), RAM_SIZE - 0x100000);
}

Test(host_loaders, multiboot_by_header_addresses)
{
    mb_header(0x40, 0x10003);
    put32(image + 0x4c, 0x200040); /* the header's own address */
    put32(image + 0x50, 0x200000);
    put32(image + 0x54, 0x202000);
    put32(image + 0x58, 0x203000);
    put32(image + 0x5c, 0x200100);
    image[0x1fff] = 0x77;
    image[0x2000] = 0x88;
    expect_load();
    cr_expect_eq(boot.eip, 0x200100);
    cr_expect_eq(ram.base[0x201fff], 0x77);
    cr_expect_eq(ram.base[0x202000], 0);
}

Test(host_loaders, multiboot_header_addresses_checked)
{
    static const struct {
        unsigned field;
        uint32_t value;
    } wrong[] = {
        {0x4c, 0x1fffff}, {0x4c, 0x300000}, {0x50, 0x1f0000}, {0x54, 0x1fff00}, {0x54, 0xffffffff},
        {0x58, 0x200001}, {0x58, 0xffffffff}, {0x5c, 0}, {0x5c, 0xffffffff},
    };

    for (size_t i = 0; i < ARRAY_SIZE(wrong); i++) {
        mb_header(0x40, 0x10003);
        put32(image + 0x4c, 0x200040);
        put32(image + 0x50, 0x200000);
        put32(image + 0x54, 0x202000);
        put32(image + 0x58, 0x203000);
        put32(image + 0x5c, 0x200100);
        put32(image + wrong[i].field, wrong[i].value);
        cr_expect(!boot_images_load(&b, &ram, &boot), "field %#x = %#x", wrong[i].field, wrong[i].value);
    }
}

Test(host_loaders, multiboot_unknown_flag)
{
    make_elf(0x100010);
    mb_header(0x1000, 0x9);
    expect_refusal("flags");
}

Test(host_loaders, multiboot_information_avoids_low_images)
{
    make_elf(0x10010);
    segment(0, 0x1000, 0x10000, 0x10000, 0x1000, 0x8fc00); /* all up to 0x9fc00 */
    mb_header(0x1000, 0);
    expect_load();
    cr_expect_lt(boot.gpr[3], 0x10000);
    cr_expect_lt(boot.gdt_base, 0x10000);
}

/* --- kinds --- */

Test(host_loaders, kinds)
{
    cr_expect_eq(image_kind(&b.kernel), IMAGE_UNKNOWN);
    expect_refusal("not a guest image");
    ram.err[0] = '\0';
    put16(image + 0x1fe, 0xaa55);
    cr_expect_eq(image_kind(&b.kernel), IMAGE_DISK);
    expect_refusal("not supported yet: booting disk images");
    b.kernel.size = 1;
    cr_expect_eq(image_kind(&b.kernel), IMAGE_UNKNOWN);
    b.kernel.size = sizeof image;
    mb_header(8188, 0); /* crosses the 8 KiB limit */
    cr_expect_lt(multiboot_header(&b.kernel), 0);
    mb_header(8180, 0);
    cr_expect_eq(multiboot_header(&b.kernel), 8180);
}

Test(host_loaders, places_do_not_overlap)
{
    gpa_t a, c;

    cr_assert(guestram_find(&ram, 0x2000, 0x1000, 0x1000, 0x9fc00, &a));
    cr_expect_eq(a, 0x9d000);
    cr_assert(guestram_reserve(&ram, a, 0x2000, "a"));
    cr_assert(guestram_find(&ram, 0x2000, 0x1000, 0x1000, 0x9fc00, &c));
    cr_expect_eq(c, 0x9b000);
    cr_expect(!guestram_find(&ram, 0x2000, 0x1000, 0x9c000, 0x9fc00, &c));
    cr_expect(!guestram_find(&ram, RAM_SIZE, 1, 0x1000, RAM_SIZE, &c));
    /* Not across the hole of a PC's video memory. */
    cr_assert(guestram_find(&ram, 0x10000, 0x1000, 0, 0xc8000, &c));
    cr_expect_leq(c + 0x10000, 0x9b000 + 0x2000);
}
