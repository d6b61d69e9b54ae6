/*
 * Architectural constants of the i386 family by their SDM names.
 * World: any.  Constants only.
 */
#ifndef CPU_X86_H
#define CPU_X86_H

#include "base/bits.h"

#define CR0_PE BIT(0)
#define CR0_MP BIT(1)
#define CR0_EM BIT(2)
#define CR0_TS BIT(3)
#define CR0_ET BIT(4)
#define CR0_NE BIT(5)
#define CR0_WP BIT(16)
#define CR0_AM BIT(18)
#define CR0_NW BIT(29)
#define CR0_CD BIT(30)
#define CR0_PG BIT(31)

#define CR4_VME BIT(0)
#define CR4_PVI BIT(1)
#define CR4_TSD BIT(2)
#define CR4_DE BIT(3)
#define CR4_PSE BIT(4)
#define CR4_PAE BIT(5)
#define CR4_MCE BIT(6)
#define CR4_PGE BIT(7)
#define CR4_PCE BIT(8)
#define CR4_OSFXSR BIT(9)
#define CR4_OSXMMEXCPT BIT(10)
#define CR4_UMIP BIT(11)
#define CR4_OSXSAVE BIT(18)
#define CR4_SMEP BIT(20)
#define CR4_SMAP BIT(21)

#define EFLAGS_CF BIT(0)
#define EFLAGS_FIXED BIT(1)
#define EFLAGS_PF BIT(2)
#define EFLAGS_AF BIT(4)
#define EFLAGS_ZF BIT(6)
#define EFLAGS_SF BIT(7)
#define EFLAGS_TF BIT(8)
#define EFLAGS_IF BIT(9)
#define EFLAGS_DF BIT(10)
#define EFLAGS_OF BIT(11)
#define EFLAGS_IOPL (BIT(12) | BIT(13))
#define EFLAGS_NT BIT(14)
#define EFLAGS_RF BIT(16)
#define EFLAGS_VM BIT(17)
#define EFLAGS_AC BIT(18)
#define EFLAGS_VIF BIT(19)
#define EFLAGS_VIP BIT(20)
#define EFLAGS_ID BIT(21)
#define EFLAGS_ARITH (EFLAGS_CF | EFLAGS_PF | EFLAGS_AF | EFLAGS_ZF | EFLAGS_SF | EFLAGS_OF)
/* The flags that live in the real EFLAGS while guest code runs. */
#define EFLAGS_LIVE (EFLAGS_ARITH | EFLAGS_DF | EFLAGS_ID)

#define EFER_SCE BIT(0)
#define EFER_NXE BIT(11)

#define DR6_FIXED 0xffff0ff0u
#define DR6_BS BIT(14) /* single step */

enum x86_vector {
    VEC_DE = 0, VEC_DB = 1, VEC_NMI = 2, VEC_BP = 3, VEC_OF = 4, VEC_BR = 5, VEC_UD = 6,
    VEC_NM = 7, VEC_DF = 8, VEC_TS = 10, VEC_NP = 11, VEC_SS = 12, VEC_GP = 13, VEC_PF = 14,
    VEC_MF = 16, VEC_AC = 17, VEC_MC = 18, VEC_XM = 19,
};

/* Page-fault error code (SDM vol. 3A 4.7). */
#define PFERR_P BIT(0)
#define PFERR_W BIT(1)
#define PFERR_U BIT(2)
#define PFERR_RSVD BIT(3)
#define PFERR_I BIT(4)

/* struct seg's attr (descriptor bits 40..55). */
#define SEG_ATTR_TYPE 0x000f
#define SEG_ATTR_A BIT(0)   /* code/data: accessed */
#define SEG_ATTR_RW BIT(1)  /* data: writable; code: readable */
#define SEG_ATTR_EC BIT(2)  /* data: expand-down; code: conforming */
#define SEG_ATTR_CODE BIT(3)
#define SEG_ATTR_S BIT(4)   /* code or data (not system) */
#define SEG_ATTR_DPL_SHIFT 5
#define SEG_ATTR_DPL (BIT(5) | BIT(6))
#define SEG_ATTR_P BIT(7)
#define SEG_ATTR_AVL BIT(12)
#define SEG_ATTR_L BIT(13)
#define SEG_ATTR_DB BIT(14)
#define SEG_ATTR_G BIT(15)

/* System descriptor types. */
enum { DESC_TSS16 = 1, DESC_LDT = 2, DESC_TSS16_BUSY = 3, DESC_CALL16 = 4, DESC_TASK = 5, DESC_INT16 = 6,
       DESC_TRAP16 = 7, DESC_TSS32 = 9, DESC_TSS32_BUSY = 11, DESC_CALL32 = 12, DESC_INT32 = 14, DESC_TRAP32 = 15 };

/* Page table entries. */
#define PTE_P BIT(0)
#define PTE_W BIT(1)
#define PTE_U BIT(2)
#define PTE_A BIT(5)
#define PTE_D BIT(6)
#define PTE_PS BIT(7)
#define PTE_G BIT(8)
#define PTE_NX BIT64(63)

#define MSR_TSC 0x10
#define MSR_APIC_BASE 0x1b
#define MSR_SYSENTER_CS 0x174
#define MSR_SYSENTER_ESP 0x175
#define MSR_SYSENTER_EIP 0x176
#define MSR_MISC_ENABLE 0x1a0
#define MSR_PAT 0x277
#define MSR_EFER 0xc0000080

#endif
