/*
 * Code as text: plain listings, and guest code beside its translation.
 *
 * World: VMX.  Units: bytes, guest EIPs, addresses in the translation cache.
 * Everything listed is untrusted: lengths are checked here.  AT&T syntax, as
 * GNU tools show it.  No errors; what can't be decoded is shown as bytes.
 */
#ifndef HOST_LISTING_H
#define HOST_LISTING_H

#include <stdio.h>

#include "host/symbols.h"

/* `n` bytes at `addr` as 16- or 32-bit code, one instruction a line, at most `max` of them. */
void listing_code(FILE *f, const uint8_t *code, size_t n, uint32_t addr, unsigned bits, unsigned max,
                  const char *prefix, const struct symbols *symbols);

/* A translation unit, put together from its trace records. */
struct listing_tu {
    uint32_t eip, tca;
    unsigned guest_len, host_len;       /* as announced */
    unsigned guest_got, host_got, nmap; /* as received */
    uint8_t guest[256], host[4096];
    struct listing_map {
        uint16_t off; /* from tca */
        uint8_t kind; /* enum map_kind */
        uint8_t insn;
    } map[96];
};

/*
 * Guest instructions on the left, what was made of them on the right: '=' if it is the same bytes
 * (IDENT), '>' if not.  Without a map the two are listed one below the other.
 */
void listing_tu(FILE *f, const struct listing_tu *t, const struct symbols *symbols);

#endif
