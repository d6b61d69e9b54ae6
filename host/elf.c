/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * ELF images for i386, by libelf.
 *
 * PT_LOAD segments go to their physical addresses.  An entry point that lies
 * in an executable segment's virtual range is moved with the segment (a kernel
 * linked high and loaded low); one that does not is taken as physical already,
 * as i386 Linux' vmlinux has it.
 */
#include <gelf.h>
#include <string.h>

#include "host/image.h"

#define SEGMENTS_MAX 64

/* What libelf would accept and we do not. */
static bool check_ident(const struct image *img, struct guestram *ram)
{
    const uint8_t *id = img->data;

    if (img->size < sizeof(Elf32_Ehdr))
        return guestram_fail(ram, "truncated ELF header");
    if (id[EI_CLASS] == ELFCLASS64)
        return guestram_fail(ram, "a 64-bit ELF image; only i386 guests run here");
    if (id[EI_CLASS] != ELFCLASS32 || id[EI_DATA] != ELFDATA2LSB)
        return guestram_fail(ram, "not a 32-bit little-endian ELF image");
    return true;
}

static bool check_header(const GElf_Ehdr *eh, struct guestram *ram)
{
    if (eh->e_machine != EM_386 && eh->e_machine != 6 /* EM_486 */)
        return guestram_fail(ram, "ELF image for another machine (%u), not i386", eh->e_machine);
    if (eh->e_type != ET_EXEC)
        return guestram_fail(ram, "ELF image is not an executable linked to fixed addresses");
    if (eh->e_phnum && eh->e_phentsize != sizeof(Elf32_Phdr))
        return guestram_fail(ram, "corrupt ELF header");
    return true;
}

static bool place_segment(const struct image *img, struct guestram *ram, const GElf_Phdr *ph)
{
    if (ph->p_offset > img->size || ph->p_filesz > img->size - ph->p_offset)
        return guestram_fail(ram, "truncated: an ELF segment ends at %#llx of %#llx bytes",
                             (unsigned long long)ph->p_offset + ph->p_filesz, (unsigned long long)img->size);
    return guestram_place(ram, ph->p_paddr, img->data + ph->p_offset, ph->p_filesz, ph->p_memsz,
                          "ELF segment");
}

/* The gelf_ functions copy: a header may lie at any address in the file. */
static bool place_all(const struct image *img, struct guestram *ram, Elf *elf, uint32_t *entry)
{
    GElf_Ehdr eh;
    GElf_Phdr ph;
    size_t n = 0;

    if (!gelf_getehdr(elf, &eh))
        return guestram_fail(ram, "corrupt ELF header: %s", elf_errmsg(-1));
    if (!check_header(&eh, ram))
        return false;
    if (elf_getphdrnum(elf, &n) || n == 0 || n > INT32_MAX || !gelf_getphdr(elf, 0, &ph))
        return guestram_fail(ram, "truncated or corrupt ELF program headers");

    bool moved = false;
    unsigned loaded = 0;
    *entry = (uint32_t)eh.e_entry;
    for (size_t i = 0; i < n && gelf_getphdr(elf, (int)i, &ph); i++) {
        if (ph.p_type != PT_LOAD || ph.p_memsz == 0)
            continue;
        if (++loaded > SEGMENTS_MAX)
            return guestram_fail(ram, "more than %u ELF segments", SEGMENTS_MAX);
        if (!place_segment(img, ram, &ph))
            return false;
        if (!moved && (ph.p_flags & PF_X) && eh.e_entry >= ph.p_vaddr &&
            eh.e_entry - ph.p_vaddr < ph.p_memsz) {
            *entry = (uint32_t)(eh.e_entry - ph.p_vaddr + ph.p_paddr);
            moved = true;
        }
    }
    if (!loaded)
        return guestram_fail(ram, "ELF image without loadable segments");
    if (*entry >= ram->size)
        return guestram_fail(ram, "entry point %#x lies outside of guest RAM", *entry);
    return true;
}

bool elf_place(const struct image *img, struct guestram *ram, uint32_t *entry)
{
    if (!check_ident(img, ram))
        return false;
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)img->data, img->size);
    if (!elf)
        return guestram_fail(ram, "corrupt ELF image: %s", elf_errmsg(-1));
    bool ok = elf_kind(elf) == ELF_K_ELF ? place_all(img, ram, elf, entry)
                                         : guestram_fail(ram, "corrupt ELF image");
    elf_end(elf);
    return ok;
}

bool elf_load(const struct boot_images *b, struct guestram *ram, struct boot_state *boot)
{
    if (b->modules)
        return guestram_fail(ram, "a plain ELF image takes no -initrd");
    return elf_place(&b->kernel, ram, &boot->eip) && boot_flat_gdt(ram, boot);
}
