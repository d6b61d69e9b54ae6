/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Symbol tables: a sorted array and a binary search.
 */
#include "host/symbols.h"

#include <gelf.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "host/image.h"

#define REACH (1u << 20) /* farther than this from a symbol is not in its function */

static bool add(struct symbols *s, uint32_t addr, const char *name, size_t len, bool data)
{
    if (s->count == s->room) {
        size_t room = s->room ? s->room * 2 : 4096;
        struct symbol *t = realloc(s->table, room * sizeof *t);
        if (!t)
            return false;
        s->table = t;
        s->room = room;
    }
    char *copy = strndup(name, len);
    if (!copy)
        return false;
    for (char *p = copy; *p; p++)
        if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127)
            *p = '?';
    s->table[s->count++] = (struct symbol){addr, copy, data};
    return true;
}

/*
 * "c0100000 T name", perhaps "[module]" behind it: 8 or 16 digits, a letter, printable
 * characters.  Anything else is skipped; true if it was a symbol's line.
 */
static bool parse_map_line(struct symbols *s, const char *line)
{
    size_t digits = strspn(line, "0123456789abcdefABCDEF");
    unsigned long long addr = strtoull(line, NULL, 16);

    if ((digits != 8 && digits != 16) || line[digits] != ' ' || !line[digits + 1] || line[digits + 2] != ' ')
        return false;
    char type = line[digits + 1];
    const char *name = line + digits + 3;
    size_t len = strcspn(name, " \t\r");
    for (size_t i = 0; i < len; i++)
        if ((unsigned char)name[i] <= ' ' || (unsigned char)name[i] >= 127)
            return false;
    return len > 0 && addr <= UINT32_MAX && strchr("tTwWdDbBrR", type) &&
           add(s, (uint32_t)addr, name, len, strchr("dDbBrR", type) != NULL);
}

/* A file with NUL bytes is no text, whatever some of its bytes look like. */
static void parse_map(struct symbols *s, const char *text, size_t size)
{
    const char *end = text + size;

    if (memchr(text, '\0', size))
        return;
    while (text < end) {
        const char *eol = memchr(text, '\n', (size_t)(end - text));
        if (!eol)
            eol = end;
        char line[256];
        size_t n = (size_t)(eol - text) < sizeof line - 1 ? (size_t)(eol - text) : sizeof line - 1;
        memcpy(line, text, n);
        line[n] = '\0';
        parse_map_line(s, line);
        text = eol + 1;
    }
}

static void parse_section(struct symbols *s, Elf *elf, Elf_Scn *scn, size_t strings)
{
    for (Elf_Data *d = elf_getdata(scn, NULL); d; d = elf_getdata(scn, d)) {
        GElf_Sym sym;
        for (int i = 0; gelf_getsym(d, i, &sym); i++) {
            unsigned type = GELF_ST_TYPE(sym.st_info);
            const char *name = elf_strptr(elf, strings, sym.st_name);
            if (name && *name && sym.st_shndx != SHN_UNDEF && sym.st_shndx != SHN_ABS && type != STT_FILE &&
                type != STT_SECTION)
                add(s, (uint32_t)sym.st_value, name, strlen(name), type == STT_OBJECT);
        }
    }
}

static int compare(const void *a, const void *b)
{
    const struct symbol *x = a, *y = b;
    return x->addr < y->addr ? -1 : x->addr > y->addr;
}

static bool finish(struct symbols *s)
{
    if (s->count)
        qsort(s->table, s->count, sizeof *s->table, compare);
    return s->count > 0;
}

bool symbols_of_elf(struct symbols *s, const uint8_t *data, size_t size)
{
    if (size < sizeof(Elf32_Ehdr) || memcmp(data, ELFMAG, SELFMAG) || data[EI_CLASS] != ELFCLASS32 ||
        data[EI_DATA] != ELFDATA2LSB)
        return false;
    elf_version(EV_CURRENT);
    Elf *elf = elf_memory((char *)data, size);
    if (!elf)
        return false;
    for (Elf_Scn *scn = elf_nextscn(elf, NULL); scn; scn = elf_nextscn(elf, scn)) {
        GElf_Shdr sh;
        if (gelf_getshdr(scn, &sh) && sh.sh_type == SHT_SYMTAB)
            parse_section(s, elf, scn, sh.sh_link);
    }
    elf_end(elf);
    return finish(s);
}

bool symbols_load(struct symbols *s, const char *path, char *err, size_t err_size)
{
    struct image img;

    if (!image_read(&img, path, err, err_size)) {
        free(img.data);
        return false;
    }
    if (!symbols_of_elf(s, img.data, img.size)) {
        parse_map(s, (char *)img.data, img.size);
        finish(s);
    }
    free(img.data);
    if (s->count == 0)
        snprintf(err, err_size, "%s: no symbols (neither an i386 ELF symbol table nor a System.map)", path);
    return s->count > 0;
}

void symbols_free(struct symbols *s)
{
    for (size_t i = 0; i < s->count; i++)
        free(s->table[i].name);
    free(s->table);
    memset(s, 0, sizeof *s);
}

const char *symbols_find(const struct symbols *s, uint32_t addr, uint32_t *offset)
{
    size_t lo = 0, hi = s->count;

    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        if (s->table[mid].addr <= addr)
            lo = mid + 1;
        else
            hi = mid;
    }
    if (lo == 0 || addr - s->table[lo - 1].addr >= REACH)
        return NULL;
    *offset = addr - s->table[lo - 1].addr;
    return s->table[lo - 1].name;
}

const char *symbols_text(const struct symbols *s, uint32_t addr, char *buf, size_t size)
{
    uint32_t off;
    const char *name = s ? symbols_find(s, addr, &off) : NULL;

    *buf = '\0';
    if (name)
        snprintf(buf, size, off ? " <%s+%#x>" : " <%s>", name, off);
    return buf;
}
