/*
 * Guest symbols, for traces and dumps.
 *
 * World: VMX.  Ownership: struct symbols owns its table.  Errors: false with
 * one line in `err`.  Lookups never fail; they return NULL.
 */
#ifndef HOST_SYMBOLS_H
#define HOST_SYMBOLS_H

#include "base/types.h"

struct symbol {
    uint32_t addr;
    char *name;
    bool data; /* surely not code */
};

struct symbols {
    struct symbol *table; /* sorted by address */
    size_t count, room;
};

/* ELF symbol table or System.map text, told by content. */
bool symbols_load(struct symbols *s, const char *path, char *err, size_t err_size);
/* The same of an ELF image in memory; false if there is none (a bzImage has none). */
bool symbols_of_elf(struct symbols *s, const uint8_t *data, size_t size);
void symbols_free(struct symbols *s);

/* The nearest symbol at or below addr (within 1 MiB), and the distance. */
const char *symbols_find(const struct symbols *s, uint32_t addr, uint32_t *offset);
/* " <name+0x12>" for addr, or "" (s may be NULL); returns buf. */
const char *symbols_text(const struct symbols *s, uint32_t addr, char *buf, size_t size);

#endif
