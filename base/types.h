/*
 * Integer types and the address kinds of the project.
 *
 * World: any.  Units: bytes unless a name says page.  No errors, no state.
 *
 * Every variable that holds an address carries its kind in its name:
 *   gva  offset in a guest segment, before segmentation        (uint32_t)
 *   gla  guest linear address, after segmentation              (gla_t)
 *   gpa  guest physical address, up to 36 bits under PAE       (gpa_t)
 *   gpn  guest physical page number, gpa >> 12                 (gpn_t)
 *   hva  pointer valid in this world                           (void *)
 *   tca  linear address inside the translation cache's window  (tca_t)
 * Conversions are made by the functions below, never by a cast.
 */
#ifndef BASE_TYPES_H
#define BASE_TYPES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint32_t gla_t;
typedef uint64_t gpa_t;
typedef uint32_t gpn_t;
typedef uint32_t tca_t;

#define PAGE_SHIFT 12
#define PAGE_SIZE 4096u
#define PAGE_MASK (PAGE_SIZE - 1)

static inline gpn_t gpa_to_gpn(gpa_t gpa) { return (gpn_t)(gpa >> PAGE_SHIFT); }
static inline gpa_t gpn_to_gpa(gpn_t gpn) { return (gpa_t)gpn << PAGE_SHIFT; }
static inline gla_t gla_page(gla_t gla) { return gla & ~(gla_t)PAGE_MASK; }
static inline uint32_t page_offset(gla_t gla) { return gla & PAGE_MASK; }

#define ARRAY_SIZE(a) (sizeof(a) / sizeof((a)[0]))
#define likely(x) __builtin_expect(!!(x), 1)
#define unlikely(x) __builtin_expect(!!(x), 0)
/* Keep a pointer in its register: the compiler is not to work it out anew at each use. */
#define KEEP_POINTER(p) __asm__("" : "+r"(p))

#endif
