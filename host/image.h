/*
 * Guest images: reading files, telling their kinds, loading them.
 *
 * World: VMX.  Ownership: an image owns a copy of its file, kept for the life
 * of the VM because a guest reset loads it again.  Errors: false with one
 * line, in `err` or in guestram.err; nothing is printed here.
 */
#ifndef HOST_IMAGE_H
#define HOST_IMAGE_H

#include "host/guestram.h"
#include "world/cross.h"

enum image_kind { IMAGE_UNKNOWN, IMAGE_BZIMAGE, IMAGE_ELF, IMAGE_MULTIBOOT, IMAGE_DISK };

#define IMAGE_MODULES 16

struct image {
    const char *name;    /* as the user gave it */
    uint8_t *data;
    size_t size;
};

/* Everything that a loader is given. */
struct boot_images {
    struct image kernel;
    const char *cmdline;              /* never NULL */
    unsigned modules;                 /* a bzImage takes one, its initrd */
    struct image module[IMAGE_MODULES];
    const char *module_args[IMAGE_MODULES]; /* multiboot: the module's command line */
};

bool image_read(struct image *img, const char *path, char *err, size_t err_size);
enum image_kind image_kind(const struct image *img);

/* Read all files: -kernel, -initrd (split at commas if the kernel is a multiboot image), -append. */
bool boot_images_read(struct boot_images *b, const char *kernel, const char *initrd, const char *append,
                      char *err, size_t err_size);
void boot_images_free(struct boot_images *b);

/* Clear RAM, load, and say how to start.  May be called again for a reset. */
bool boot_images_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot);

/* The loaders, one a kind. */
bool bzimage_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot);
bool elf_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot);
bool multiboot_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot);

/* Shared by elf_load and multiboot_load: place the PT_LOAD segments, return the physical entry point. */
bool elf_place(const struct image *img, struct guestram *ram, uint32_t *entry);

/* Offset of a valid multiboot 1 header, or -1. */
long multiboot_header(const struct image *img);

/* Flat segments: a GDT with code at 0x10 and data at 0x18 in low memory, as Linux' boot protocol wants. */
bool boot_flat_gdt(struct guestram *ram, struct boot_state *boot);

#endif
