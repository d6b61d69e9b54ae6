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
};

struct symbols {
    struct symbol *table; /* sorted by address */
    size_t count, room;
};

/* ELF symbol table or System.map text, told by content. */
bool symbols_load(struct symbols *s, const char *path, char *err, size_t err_size);
void symbols_free(struct symbols *s);

/* The nearest symbol at or below addr (within 1 MiB), and the distance. */
const char *symbols_find(const struct symbols *s, uint32_t addr, uint32_t *offset);

#endif
