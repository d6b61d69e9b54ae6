/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Reading guest images and choosing their loader.
 *
 * Kinds are told by content alone: "HdrS" in a Linux setup header, a multiboot
 * 1 header in the first 8 KiB, the ELF magic, a boot sector's 55 AA.  Multiboot
 * is looked for before ELF because most multiboot kernels are ELF files.
 */
#include "host/image.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/bits.h"
#include "base/mem.h"

#define IMAGE_MAX (2ull << 30)

static bool fail(char *err, size_t err_size, const char *name, const char *why)
{
    snprintf(err, err_size, "%s: %s", name, why);
    return false;
}

/* Read to the end, whatever kind of file it is. */
static int read_all(int fd, struct image *img)
{
    size_t room = 0;

    for (;;) {
        if (img->size == room) {
            room = room ? room * 2 : 1 << 20;
            if (room > IMAGE_MAX)
                return EFBIG;
            uint8_t *bigger = realloc(img->data, room);
            if (!bigger)
                return ENOMEM;
            img->data = bigger;
        }
        ssize_t n = read(fd, img->data + img->size, room - img->size);
        if (n == 0)
            return 0;
        if (n < 0 && errno != EINTR)
            return errno;
        if (n > 0)
            img->size += (size_t)n;
    }
}

bool image_read(struct image *img, const char *path, char *err, size_t err_size)
{
    img->name = path;
    img->data = NULL;
    img->size = 0;

    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fail(err, err_size, path, strerror(errno));
    int e = read_all(fd, img);
    close(fd);
    if (e)
        return fail(err, err_size, path, strerror(e));
    if (img->size == 0)
        return fail(err, err_size, path, "empty file");
    return true;
}

enum image_kind image_kind(const struct image *img)
{
    if (img->size >= 0x206 && get16(img->data + 0x1fe) == 0xaa55 && !memcmp(img->data + 0x202, "HdrS", 4))
        return IMAGE_BZIMAGE;
    if (multiboot_header(img) >= 0)
        return IMAGE_MULTIBOOT;
    if (img->size >= 4 && !memcmp(img->data, "\177ELF", 4))
        return IMAGE_ELF;
    if (img->size >= 512 && get16(img->data + 0x1fe) == 0xaa55)
        return IMAGE_DISK;
    return IMAGE_UNKNOWN;
}

static bool read_module(struct boot_images *b, const char *path, const char *args, char *err, size_t err_size)
{
    if (b->modules == IMAGE_MODULES)
        return fail(err, err_size, path, "too many modules");
    if (!image_read(&b->module[b->modules], path, err, err_size))
        return false;
    b->module_args[b->modules++] = args;
    return true;
}

/* "file args,file args": each module's command line is the whole of its item. */
static bool read_modules(struct boot_images *b, const char *list, char *err, size_t err_size)
{
    while (*list) {
        size_t n = strcspn(list, ","), path_len = strcspn(list, ", ");
        char *args = strndup(list, n), *path = strndup(list, path_len);
        /* Both live as long as the images, to the end of the program. */
        if (!args || !path)
            return fail(err, err_size, list, strerror(ENOMEM));
        if (!*path)
            return fail(err, err_size, "-initrd", "empty file name in the list");
        if (!read_module(b, path, args, err, err_size))
            return false;
        list += n;
        list += *list == ',';
    }
    return true;
}

bool boot_images_read(struct boot_images *b, const char *kernel, const char *initrd, const char *append,
                      char *err, size_t err_size)
{
    memset(b, 0, sizeof *b);
    b->cmdline = append ? append : "";
    if (!image_read(&b->kernel, kernel, err, err_size))
        return false;
    if (!initrd)
        return true;
    if (image_kind(&b->kernel) == IMAGE_MULTIBOOT)
        return read_modules(b, initrd, err, err_size);
    return read_module(b, initrd, "", err, err_size);
}

void boot_images_free(struct boot_images *b)
{
    free(b->kernel.data);
    for (unsigned i = 0; i < b->modules; i++)
        free(b->module[i].data);
    memset(b, 0, sizeof *b);
}

/* SDM vol. 3A 3.4.5: flat 4 GiB ring 0 code (0x10) and data (0x18), accessed. */
bool boot_flat_gdt(struct guestram *ram, struct boot_state *boot)
{
    static const uint64_t gdt[4] = {0, 0, 0x00cf9b000000ffff, 0x00cf93000000ffff};
    gpa_t gpa;

    if (!guestram_find(ram, sizeof gdt, 16, PAGE_SIZE, GUESTRAM_LOW_END, &gpa))
        return guestram_fail(ram, "no room below 640K for the boot GDT");
    boot->gdt_base = (uint32_t)gpa;
    boot->gdt_limit = sizeof gdt - 1;
    boot->cs = 0x10;
    boot->ds = 0x18;
    return guestram_place(ram, gpa, gdt, sizeof gdt, sizeof gdt, "the boot GDT");
}

bool boot_images_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot)
{
    guestram_init(ram, ram->base, ram->size);
    memset(boot, 0, sizeof *boot);
    boot->protected_mode = 1;
    switch (image_kind(&b->kernel)) {
    case IMAGE_BZIMAGE:
        return bzimage_load(b, ram, boot);
    case IMAGE_MULTIBOOT:
        return multiboot_load(b, ram, boot);
    case IMAGE_ELF:
        return elf_load(b, ram, boot);
    case IMAGE_DISK:
        return guestram_fail(ram, "a disk image; not supported yet: booting disk images");
    case IMAGE_UNKNOWN:
        break;
    }
    return guestram_fail(ram, "not a guest image (neither bzImage nor ELF nor multiboot)");
}
